// The map: vector tiles of the server or exported GeoJSON, drawn by MapLibre. There is no basemap: the drives are one.

import { markImage } from "./marks.js";
/* global maplibregl */

const THEMES = {
  light: { ground: "#f3f4f1", road: "#b9c0c7", centre: "#8d97a1", ink: "#1d2733", paper: "#ffffff", halo: "#0f766e", unseen: "#b45309" },
  dark: { ground: "#12171d", road: "#3a444f", centre: "#5d6975", ink: "#e4e9ee", paper: "#12171d", halo: "#5eead4", unseen: "#fbbf24" },
};
const DASHES = { 0: null, 1: [0.4, 1.6], 2: [2.4, 1.2], 3: [0.8, 2.4], 4: [0.2, 3] };
const NONE = { type: "FeatureCollection", features: [] };

export class AssetMap {
  #map; #source; #classes; #theme; #filter = {}; #selected = NONE; #survey = NONE;

  /** on: asset(id), crowd(lngLat), moved(), place(lngLat) when the map is clicked while a place is asked for. */
  constructor(source, theme, on) {
    this.#source = source;
    this.#classes = source.opened.view.classes;
    this.#theme = theme;
    this.asking = null;
    maplibregl.setWorkerUrl(new URL("vendor/maplibre-gl-5.24.1/maplibre-gl-csp-worker.js", import.meta.url).href);
    const bounds = source.opened.view.bounds;
    this.#map = new maplibregl.Map({
      container: "map", style: this.#style(), attributionControl: false, dragRotate: false, maxZoom: 21.5, fadeDuration: 0,
      ...(bounds ? { bounds, fitBoundsOptions: { padding: this.#padding(), maxZoom: 17 } } : { center: [0, 20], zoom: 1 }),
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-right");
    this.#map.addControl(new maplibregl.ScaleControl({ maxWidth: 90 }), "bottom-right");
    this.#map.on("styleimagemissing", ({ id }) => this.#addMark(id));
    this.#map.on("moveend", on.moved);
    this.#map.on("click", (event) => this.#clicked(event, on));
    this.#map.on("mousemove", (event) => {
      const hit = this.#at(event.point);
      this.#map.getCanvas().style.cursor = this.asking ? "crosshair" : hit ? "pointer" : "";
    });
    this.ready = new Promise((done) => this.#map.once("load", done));
  }

  get view() {
    const { lng, lat } = this.#map.getCenter();
    return `${this.#map.getZoom().toFixed(2)}/${lat.toFixed(6)}/${lng.toFixed(6)}`;
  }

  set view(text) {
    const [zoom, lat, lng] = text.split("/").map(Number);
    if ([zoom, lat, lng].every(Number.isFinite) && Math.abs(lat) <= 90) this.#map.jumpTo({ zoom, center: [lng, lat] });
  }

  get bounds() {
    const box = this.#map.getBounds();
    return [Math.max(-180, box.getWest()), box.getSouth(), Math.min(180, box.getEast()), box.getNorth()];
  }

  go(lon, lat, zoom = 18) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#map.easeTo({ center: [lon, lat], zoom: Math.max(zoom, this.#map.getZoom()), padding: this.#padding(), duration: calm ? 0 : 500 });
  }

  fit(bounds) {
    if (bounds) this.#map.fitBounds(bounds, { padding: this.#padding(), maxZoom: 17, duration: 0 });
  }

  resize() {
    this.#map.resize();
  }

  /** Show the assets that pass a filter, of the release that the source has now. */
  show(filter, classes = this.#classes) {
    this.#filter = filter;
    this.#classes = classes;
    if (this.#source.exported) this.#map.getSource("assets")?.setData(this.#source.passing(filter));
    else for (const kind of ["assets", "drives"]) this.#map.getSource(kind)?.setTiles(this.#source.tiles(kind, kind === "assets" ? filter : null));
    if (this.#map.isStyleLoaded()) this.#map.setPaintProperty("crowd", "circle-color", this.#colors());
  }

  /** Ring an asset, with its ellipse, and where each drive put it. */
  select(details) {
    this.#selected = details ? selection(details) : NONE;
    this.#map.getSource("selected")?.setData(this.#selected);
  }

  /** Kilometres by when they were last surveyed. */
  survey(rows) {
    const feature = (row) => ({ type: "Feature", geometry: { type: "Point", coordinates: [row.lon, row.lat] }, properties: { days: row.days ?? -1, drives: row.drives } });
    this.#survey = { type: "FeatureCollection", features: rows.map(feature) };
    this.#map.getSource("survey")?.setData(this.#survey);
  }

  layer(names, visible) {
    for (const name of names) if (this.#map.getLayer(name)) this.#map.setLayoutProperty(name, "visibility", visible ? "visible" : "none");
  }

  theme(name) {
    this.#theme = name;
    const hidden = this.#map.getStyle().layers.filter((one) => one.layout?.visibility === "none").map((one) => one.id);
    this.#map.setStyle(this.#style(), { diff: false });
    this.#map.once("styledata", () => this.layer(hidden, false));
  }

  #padding() {
    if (document.body.dataset.review === "open" && innerWidth > 760) return { top: 60, bottom: 60, left: Math.min(860, 0.6 * innerWidth) + 30, right: 40 };
    return innerWidth <= 760 ? { top: 40, bottom: Math.round(innerHeight * (document.body.dataset.asset || document.body.dataset.side ? 0.6 : 0.2)), left: 30, right: 30 } : { top: 60, bottom: 110, left: 340, right: 60 };
  }

  #at({ x, y }) {
    const reach = matchMedia("(pointer: coarse)").matches ? 14 : 6;
    const layers = ["assets", "lines-hit", "crowd"].filter((name) => this.#map.getLayer(name));
    return this.#map.queryRenderedFeatures([[x - reach, y - reach], [x + reach, y + reach]], { layers })[0];
  }

  #clicked(event, on) {
    if (this.asking) return on.place(event.lngLat);
    const hit = this.#at(event.point);
    if (!hit) return on.asset(null);
    if (hit.layer.id === "crowd") this.#map.easeTo({ center: event.lngLat, zoom: this.#map.getZoom() + 2.5 });
    else on.asset(hit.properties.id ?? hit.properties.asset_id);
  }

  #colors() {
    const pairs = this.#classes.flatMap((one, n) => [n, one.color]);
    return pairs.length ? ["match", ["get", "c"], ...pairs, "#888"] : "#888";
  }

  #addMark(id) {
    const [, c, s] = id.match(/^mark-(\d+)-(\d+)$/) ?? [];
    if (c === undefined) return;
    const { paper } = THEMES[this.#theme];
    const ratio = Math.min(3, Math.ceil(devicePixelRatio * 1.5));
    this.#map.addImage(id, markImage(Number(s), this.#classes[c]?.color ?? "#888", paper, ratio), { pixelRatio: ratio });
  }

  #style() {
    const look = THEMES[this.#theme], { exported, opened } = this.#source;
    const vector = (kind, minzoom, maxzoom) => ({ type: "vector", tiles: this.#source.tiles(kind, kind === "assets" ? this.#filter : null), minzoom, maxzoom });
    const sources = {
      assets: exported ? { type: "geojson", data: this.#source.passing(this.#filter), maxzoom: 20 } : vector("assets", 0, 18),
      drives: exported ? { type: "geojson", data: "data/drives.geojson", maxzoom: 20 } : vector("drives", 10, 14),
      selected: { type: "geojson", data: this.#selected, maxzoom: 20 },
      survey: { type: "geojson", data: this.#survey },
    };
    if (opened.reference) sources.kilometres = vector("kilometres", 0, 18);
    const of = (source, name) => ({ source, ...(exported || source === "selected" || source === "survey" ? {} : { "source-layer": name }) });
    const isPoint = ["==", ["geometry-type"], "Point"], isLine = ["==", ["geometry-type"], "LineString"];
    const near = (from, to) => ["interpolate", ["linear"], ["zoom"], ...from, ...to];
    const layers = [
      { id: "ground", type: "background", paint: { "background-color": look.ground } },
      { id: "drives", type: "line", ...of("drives", "drives"), layout: { "line-join": "round", "line-cap": "round" }, paint: { "line-color": look.road, "line-width": near([10, 1.5], [18, 9]), "line-opacity": 0.55 } },
      { id: "survey", type: "circle", ...of("survey"), layout: { visibility: "none" }, paint: { "circle-radius": near([6, 3], [14, 16]), "circle-opacity": 0.45, "circle-color": ["case", ["<", ["get", "days"], 0], look.unseen, ["interpolate", ["linear"], ["get", "days"], 0, "#0f766e", 90, "#5fa8a0", 365, "#c7d2d0"]], "circle-stroke-color": look.unseen, "circle-stroke-width": ["case", ["<", ["get", "days"], 0], 2, 0] } },
      ...(opened.reference ? [
        { id: "centrelines", type: "line", ...of("kilometres", "centrelines"), paint: { "line-color": look.centre, "line-width": near([6, 0.8], [16, 1.6]), "line-dasharray": [4, 2] } },
        { id: "posts", type: "symbol", ...of("kilometres", "posts"), layout: { "text-field": ["get", "km"], "text-font": ["sans-serif"], "text-size": 11, "text-padding": 6 }, paint: { "text-color": look.ink, "text-halo-color": look.ground, "text-halo-width": 2 } },
      ] : []),
      { id: "ellipses", type: "fill", ...of("assets", "ellipses"), ...(exported ? { filter: ["==", ["geometry-type"], "Polygon"] } : {}), paint: { "fill-color": this.#colors(), "fill-opacity": 0.13, "fill-outline-color": this.#colors() } },
      { id: "lines-hit", type: "line", ...of("assets", "lines"), filter: isLine, paint: { "line-color": look.ink, "line-opacity": 0.01, "line-width": 14 } },
      ...Object.entries(DASHES).map(([state, dash]) => ({ id: `lines-${state}`, type: "line", ...of("assets", "lines"), filter: ["all", isLine, ["==", ["get", "s"], Number(state)]], layout: { "line-cap": state === "0" ? "round" : "butt" }, paint: { "line-color": this.#colors(), "line-width": near([8, 1.5], [18, 5]), ...(dash ? { "line-dasharray": dash } : {}), "line-opacity": state === "4" ? 0.5 : 1 } })),
      ...(exported ? [] : [{ id: "crowd", type: "circle", ...of("assets", "crowd"), paint: { "circle-color": this.#colors(), "circle-radius": near([4, 1.4], [14, 3.2]), "circle-opacity": ["match", ["get", "s"], 0, 0.85, 0.6] } }]),
      { id: "halo", type: "circle", ...of("selected"), filter: ["==", ["get", "what"], "halo"], paint: { "circle-radius": 15, "circle-color": "transparent", "circle-stroke-color": look.halo, "circle-stroke-width": 3 } },
      { id: "halo-line", type: "line", ...of("selected"), filter: ["==", ["get", "what"], "line"], layout: { "line-cap": "round" }, paint: { "line-color": look.halo, "line-width": 11, "line-opacity": 0.4 } },
      { id: "halo-ellipse", type: "line", ...of("selected"), filter: ["==", ["get", "what"], "ellipse"], paint: { "line-color": look.halo, "line-width": 1.5, "line-dasharray": [3, 2] } },
      { id: "assets", type: "symbol", ...of("assets", "assets"), filter: isPoint, layout: { "icon-image": ["concat", "mark-", ["to-string", ["get", "c"]], "-", ["to-string", ["get", "s"]]], "icon-allow-overlap": true, "icon-ignore-placement": true, "icon-size": near([9, 0.5], [17, 1]) } },
      { id: "estimates", type: "circle", ...of("selected"), filter: ["==", ["get", "what"], "estimate"], paint: { "circle-radius": 4, "circle-color": look.halo, "circle-stroke-color": look.paper, "circle-stroke-width": 1.5 } },
    ];
    return { version: 8, sources, layers };
  }
}

function selection(details) {
  const { lon, lat, length_m: length } = details.asset;
  const feature = (what, geometry, more = {}) => ({ type: "Feature", geometry, properties: { what, ...more } });
  const point = (...coordinates) => ({ type: "Point", coordinates });
  const east = 1 / (111320 * Math.cos((lat * Math.PI) / 180)), north = 1 / 110574;
  const ring = details.ellipse_m.map(([e, n]) => [lon + e * east, lat + n * north]);
  const estimates = details.drives.filter((drive) => drive.lon !== null).map((drive) => feature("estimate", point(drive.lon, drive.lat)));
  const shape = length === null ? [feature("halo", point(lon, lat)), feature("ellipse", { type: "LineString", coordinates: [...ring, ring[0]] })] : [feature("line", details.geometry)];
  return { type: "FeatureCollection", features: [...shape, ...(length === null ? estimates : [])] };
}
