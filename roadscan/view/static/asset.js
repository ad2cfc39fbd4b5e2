// One asset: its photographs through the nights, what the register knows of it, and what each drive said.

import { $, chainage, day, fill, h, number, toast } from "./dom.js";

const MARGIN = 0.75, LEAST_PX = 32; // of a crop, as the server cuts it
const FACTS = [
  ["state", (a) => a.state], ["stands with probability", (a) => a.existence !== null && number(a.existence, 3)], ["position ± (standard error)", (a) => `${number(a.pos_sigma_m, 2)} m`],
  ["route", (a) => a.route_code && `${a.route_code} ${a.section_code ?? ""}`], ["kilometre", (a) => a.km_m !== null && (a.km_end_m === null ? chainage(a.km_m) : `${chainage(a.km_m)} to ${chainage(a.km_end_m)}`)],
  ["side", (a) => a.side], ["offset", (a) => a.offset_m !== null && `${number(a.offset_m, 1)} m`], ["length", (a) => a.length_m !== null && `${number(a.length_m, 1)} m`], ["district", (a) => a.district], ["carriageway", (a) => a.carriageway],
  ["first seen", (a) => day(a.first_seen, true)], ["last seen", (a) => day(a.last_seen, true)], ["nights, frames", (a) => `${number(a.n_nights)}, ${number(a.n_observations)}`], ["mean score", (a) => number(a.score, 2)],
  ["place", (a) => `${a.lat.toFixed(6)}, ${a.lon.toFixed(6)}`], ["reference", (a) => a.lrs_version], ["model", (a) => a.model_sha256?.slice(0, 12)],
];

/** A photograph's crop, with its box, or a card that says why there is none. */
export function picture(source, details, number, color, size = "crop") {
  const shown = details.photographs[number];
  const image = h("img", { src: source.photo(details, number, size), alt: `${details.asset.class}, ${shown.drive_id ?? ""}`, decoding: "async" });
  const frame = h("div", { class: "picture" }, image);
  if (shown.box_px && size === "crop") {
    const [x1, y1, x2, y2] = shown.box_px, whole = Math.max(x2 - x1, y2 - y1, LEAST_PX) * (1 + 2 * MARGIN);
    const [w, t] = [(100 * (x2 - x1)) / whole, (100 * (y2 - y1)) / whole];
    frame.append(h("i", { class: "box", style: { left: `${50 - w / 2}%`, top: `${50 - t / 2}%`, width: `${w}%`, height: `${t}%`, borderColor: color } }));
  }
  image.onerror = async () => {
    const told = await fetch(image.src).then((answer) => answer.json()).catch(() => ({}));
    fill(frame, h("p", { class: "gone" }, told.error ?? "The image could not be shown."));
  };
  return frame;
}

export class AssetPanel {
  #page; #place; #details; #at = 0;

  constructor(page) {
    this.#page = page;
    this.#place = $("asset");
  }

  close() {
    this.#place.hidden = true;
    this.#details = null;
    document.body.dataset.asset = "";
  }

  wait(id) {
    if (!this.#place.hidden) return;
    this.#open(h("p", { class: "note" }, `${id} …`));
  }

  failed(id, why) {
    this.#details = null;
    this.#open(this.#head(id, ""), h("p", { class: "failed" }, why));
  }

  show(details, asked) {
    if (details.asset.asset_id !== this.#details?.asset.asset_id) this.#at = 0;
    this.#details = details;
    const { asset } = details;
    const told = FACTS.map(([name, value]) => [name, value(asset)]).filter(([, value]) => value || value === 0);
    const photographs = details.photographs.length ? h("div", { class: "photographs" }) : h("p", { class: "note" }, "No photograph of it is named in this release.");
    this.#open(
      this.#head(asset.asset_id, asset.class),
      asked !== asset.asset_id && h("p", { class: "note" }, `${asked} is part of it now.`),
      photographs,
      h("dl", {}, told.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])),
      this.#changes(details), this.#drives(details), this.#reviews(details), this.#files(details));
    if (details.photographs.length) this.#photographs();
  }

  step(by) {
    if (!this.#details?.photographs.length) return;
    this.#at = (this.#at + by + this.#details.photographs.length) % this.#details.photographs.length;
    this.#photographs();
  }

  boxes() {
    document.body.classList.toggle("unboxed");
  }

  whole() {
    if (!this.#details?.photographs.length) return;
    const shown = this.#details.photographs[this.#at], dialog = $("photo");
    const size = this.#page.source.exported ? "crop" : "frame";
    fill(dialog, picture(this.#page.source, this.#details, this.#at, this.#color(), size), h("p", {}, `${shown.drive_id ?? ""} ${day(shown.captured_at, true)}`, h("code", {}, shown.uri)), h("button", { onclick: () => dialog.close() }, "Close"));
    dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
    dialog.showModal();
  }

  #open(...children) {
    fill(this.#place, children);
    this.#place.hidden = false;
    this.#place.scrollTop = 0;
    document.body.dataset.asset = "open";
  }

  #color() {
    return this.#page.view.classes.find((one) => one.name === this.#details.asset.class)?.color ?? "#888";
  }

  #head(id, name) {
    const copy = () => navigator.clipboard?.writeText(location.href).then(() => toast("The address of this view was copied."), () => toast(location.href));
    return h("div", { class: "head" }, h("div", {}, h("h2", {}, name && h("i", { class: "dot", style: { background: this.#details ? this.#color() : "#888" } }), name || "Asset"), h("code", {}, id)),
      h("button", { class: "quiet", title: "Copy a link to this view", onclick: copy }, "Link"), h("button", { class: "icon", title: "Close (Esc)", "aria-label": "Close", onclick: () => this.#page.select(null) }, "×"));
  }

  #photographs() {
    const place = this.#place.querySelector(".photographs"), { photographs } = this.#details, shown = photographs[this.#at];
    const main = picture(this.#page.source, this.#details, this.#at, this.#color());
    main.classList.add("main");
    main.onclick = () => this.whole();
    const strip = photographs.map((one, n) => {
      const small = picture(this.#page.source, this.#details, n, this.#color());
      return h("button", { class: "small", "aria-current": String(n === this.#at), title: day(one.captured_at, true), onclick: () => { this.#at = n; this.#photographs(); } }, small, h("small", {}, day(one.captured_at) || "no date"));
    });
    fill(place, main, h("p", { class: "caption" }, shown.box_px ? null : h("b", {}, "looked, not detected · "), [shown.drive_id, day(shown.captured_at, true), shown.score != null && `score ${number(shown.score, 2)}`].filter(Boolean).join(" · ")), photographs.length > 1 && h("div", { class: "strip" }, strip));
  }

  #changes({ changes }) {
    return changes.length ? [h("h3", {}, "Changes"), h("ul", { class: "told" }, changes.map((row) => h("li", {}, h("b", {}, row.change), ` ${day(row.changed_at)}`, row.drive_id ? ` · ${row.drive_id}` : " · by a reviewer")))] : null;
  }

  #drives({ drives }) {
    if (!drives.length) return null;
    const row = (one) => h("tr", {}, h("td", {}, one.seen ? "●" : "○"), h("td", {}, day(one.looked_at)), h("td", {}, one.drive_id), h("td", {}, `${one.hits}/${one.covering}`), h("td", {}, number(one.score, 2)), h("td", {}, one.pos_sigma_m === null ? "" : `± ${number(one.pos_sigma_m, 1)}`));
    return [h("h3", {}, "Drives"), h("div", { class: "scroll" }, h("table", {}, h("tr", {}, ["", "day", "drive", "seen of", "score", "m"].map((name) => h("th", {}, name))), drives.map(row)))];
  }

  #reviews({ reviews, aliases }) {
    const parts = reviews.map((row) => h("li", {}, h("b", {}, row.action), ` ${[row.target_id && `with ${row.target_id}`, row.reviewer, day(row.reviewed_at, true), row.note].filter(Boolean).join(" · ")}`));
    parts.push(...aliases.map((row) => h("li", {}, h("b", {}, "was also"), ` ${row.alias_id} · ${row.reason} · ${day(row.since)}`)));
    return parts.length ? [h("h3", {}, "Decided"), h("ul", { class: "told" }, parts)] : null;
  }

  #files({ photographs }) {
    return photographs.length ? [h("h3", {}, "Images"), h("ul", { class: "files-of" }, photographs.map((one) => h("li", {}, h("code", {}, one.uri))))] : null;
  }
}
