// Where a page's data come from: a server that cuts tiles and answers questions, or files that were exported.

const FIELDS = ["class", "state", "side", "route", "km", "since", "until", "score"];

/** A filter as an address has it; fields without a value are left out. */
export function asQuery(filter) {
  const query = new URLSearchParams();
  for (const name of FIELDS) for (const value of [filter[name] ?? []].flat()) if (value !== "") query.append(name, value);
  return query;
}

async function json(address, options) {
  const answer = await fetch(address, options);
  const tree = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
  if (!answer.ok) throw Object.assign(new Error(tree.error ?? answer.statusText), { status: answer.status, told: tree });
  return tree;
}

export async function openSource() {
  const opened = await json("data/view.json");
  return opened.exported ? new Exported(opened, await json("data/assets.geojson")) : new Live(opened);
}

class Live {
  exported = false;

  constructor(opened) {
    this.opened = opened;
    this.key = opened.view.key;
  }

  now = () => json("data/now.json");
  view = () => json(`data/${this.key}/view.json`);
  details = (id) => json(`data/${this.key}/asset.json?${new URLSearchParams({ id })}`);
  photo = (details, number, size) => `data/${this.key}/photo/${number}/${size}?${new URLSearchParams({ id: details.asset.asset_id })}`;
  search = (text) => json(`data/${this.key}/search.json?${new URLSearchParams({ q: text })}`);
  changes = (since, until) => json(`data/${this.key}/changes.json?${new URLSearchParams({ since, until })}`);
  survey = () => json(`data/${this.key}/survey.json`);
  download = (filter, kind) => `data/${this.key}/assets.${kind}?${asQuery(filter)}`;
  reviews = () => json("reviews.json");
  decide = (decision) => this.#send("reviews.json", decision);
  undo = (id) => this.#send("undo.json", { id });

  list(filter, { bounds, order } = {}) {
    const query = asQuery(filter);
    if (bounds) query.set("bbox", bounds.map((degree) => degree.toFixed(6)).join(","));
    if (order) query.set("order", order);
    return json(`data/${this.key}/assets.json?${query}`);
  }

  tiles(kind, filter) {
    const base = new URL(`data/${this.key}/tiles/${kind}`, location.href).href;
    return [`${base}/{z}/{x}/{y}${filter ? `?${asQuery(filter)}` : ""}`];
  }

  #send(address, body) {
    const headers = { "Content-Type": "application/json", "X-Roadscan": "1" };
    return json(address, { method: "POST", headers, body: JSON.stringify(body) });
  }
}

const bare = (code) => (code ?? "").trim().replace(/^0+/, "").toLowerCase();

class Exported {
  exported = true;

  constructor(opened, assets) {
    this.opened = opened;
    this.key = opened.view.key;
    this.assets = assets;
    this.rows = assets.features.map((feature) => feature.properties);
    this.number = new Map(this.rows.map((row, n) => [row.asset_id, n]));
  }

  now = async () => this.opened.view;
  view = async () => this.opened.view;
  details = (id) => json(`data/asset/${this.number.get(id)}.json`);
  photo = (details, number) => `data/photo/${this.number.get(details.asset.asset_id)}-${number}.jpg`;
  changes = async (since, until) => (await json("data/changes.json")).filter((row) => (!since || row.changed_at.slice(0, 10) >= since) && (!until || row.changed_at.slice(0, 10) <= until));
  survey = () => json("data/survey.json");
  download = (_, kind) => `data/assets.${kind}`;

  /** The features that pass, as GeoJSON. */
  passing(filter) {
    return { type: "FeatureCollection", features: this.assets.features.filter((feature) => passes(feature.properties, filter)) };
  }

  async list(filter, { bounds, order } = {}) {
    let rows = this.rows.filter((row) => passes(row, filter));
    if (bounds) rows = rows.filter((row) => row.lon >= bounds[0] && row.lon <= bounds[2] && row.lat >= bounds[1] && row.lat <= bounds[3]);
    const doubt = (row) => 1 - Math.abs(2 * (row.existence ?? row.score) - 1);
    if (order === "worst") rows = [...rows].sort((a, b) => doubt(b) - doubt(a));
    return { count: rows.length, rows: rows.slice(0, 500) };
  }

  async search(text) {
    const place = text.match(/^\s*([-+]?\d+(?:\.\d+)?)\s*[,;\s]\s*([-+]?\d+(?:\.\d+)?)\s*$/);
    if (place) return [{ kind: "place", label: text.trim(), lat: Number(place[1]), lon: Number(place[2]) }];
    const km = text.match(/^\s*(?:(\S+)\s+)?(\d+)\+(\d{3})\s*$/);
    const metres = km && Number(km[2]) * 1000 + Number(km[3]);
    const found = km
      ? this.rows.filter((row) => row.km_m !== null && (!km[1] || bare(row.route_code) === bare(km[1]))).sort((a, b) => Math.abs(a.km_m - metres) - Math.abs(b.km_m - metres))
      : this.rows.filter((row) => row.asset_id.toLowerCase().startsWith(text.trim().toLowerCase()));
    return found.slice(0, 8).map((row) => ({ kind: "asset", label: km ? `${row.route_code} ${row.km_m}` : row.asset_id, what: row.class, lon: row.lon, lat: row.lat, id: row.asset_id }));
  }
}

function passes(row, filter) {
  const among = (name, value) => !filter[name]?.length || filter[name].includes(value);
  if (!among("class", row.class) || !among("state", row.state) || !among("side", row.side)) return false;
  if (filter.route && bare(row.route_code) !== bare(filter.route)) return false;
  if (filter.km) {
    const [first, last] = span(filter.km);
    if (row.km_m === null || row.km_m > last || (row.km_end_m ?? row.km_m) < first) return false;
  }
  const seen = (row.last_seen ?? "").slice(0, 10);
  if ((filter.since && seen < filter.since) || (filter.until && seen > filter.until)) return false;
  return !filter.score || row.score >= Number(filter.score);
}

/** "10", "10-20" or "10+500-12" in metres. */
function span(text) {
  const metres = (one) => { const [km, m = "0"] = one.trim().split("+"); return Number(km) * 1000 + Number(m); };
  const [first, last] = text.split(/[-–]/);
  return last === undefined ? [metres(first), metres(first) + (first.includes("+") ? 0 : 999)] : [metres(first), metres(last)];
}
