// The panel at the side: what is shown, the assets in view as a list, and what changed.

import { $, chainage, day, fill, h, number } from "./dom.js";
import { markElement, STATES } from "./marks.js";

const LAYERS = [["drives", "Drives", ["drives"], true], ["kilometres", "Centrelines and posts", ["centrelines", "posts"], true], ["ellipses", "95 % of the position", ["ellipses"], true], ["survey", "When each kilometre was surveyed", ["survey"], false]];
const SIDES = ["left", "right", "overhead"];

export class Side {
  #page; #body; #rows = []; #at = -1; #layers; #asked = 0;

  constructor(page) {
    this.#page = page;
    this.tab = innerWidth <= 760 ? null : "filter";
    this.#layers = Object.fromEntries(LAYERS.map(([name, , , on]) => [name, on]));
    const tab = (name, label) => h("button", { data: { tab: name }, onclick: () => this.open(name) }, label);
    fill($("tabs"), tab("filter", "Filter"), tab("list", "List"), tab("changes", "Changes"), !page.source.exported && h("button", { data: { tab: "review" }, onclick: () => page.review.toggle() }, "Review"));
    this.#body = $("side");
    this.#show();
  }

  /** Open a tab; the one that is open closes where the screen is small. */
  open(name) {
    this.tab = this.tab === name && innerWidth <= 760 ? null : name;
    if (this.#page.review?.on && name) this.#page.review.close();
    this.#show();
    this.#page.written();
  }

  filtered() {
    if (this.tab === "list") this.#list();
    if (this.tab === "filter") this.#count();
  }

  moved() {
    if (this.tab === "list") this.#list();
  }

  released() {
    this.#show();
  }

  /** Layers as they were before the style was loaded. */
  restore() {
    for (const [name, , layers] of LAYERS) this.#page.map.layer(layers, this.#layers[name]);
    if (this.tab === "filter") this.#count();
  }

  step(by) {
    if (!this.#rows.length) { this.open("list"); return; }
    this.#at = Math.max(0, Math.min(this.#rows.length - 1, this.#at + by));
    this.#page.select(this.#rows[this.#at].asset_id, { go: true });
    this.#mark();
  }

  #show() {
    for (const button of $("tabs").children) if (button.dataset.tab !== "review") button.setAttribute("aria-pressed", String(button.dataset.tab === this.tab));
    this.#body.hidden = !this.tab;
    document.body.dataset.side = this.tab ?? "";
    if (this.tab === "filter") this.#filter();
    if (this.tab === "list") this.#list();
    if (this.tab === "changes") this.#changes();
  }

  #filter() {
    const { view, filter, source } = this.#page;
    const toggled = (name, value) => {
      const now = new Set(filter[name] ?? []);
      if (!now.delete(value)) now.add(value);
      this.#page.setFilter({ [name]: [...now] });
      this.#filter();
    };
    const chip = (name, value, ...shown) => h("button", { class: "chip", "aria-pressed": String((filter[name] ?? []).includes(value)), onclick: () => toggled(name, value) }, shown);
    const classes = view.classes.map((one) => {
      const total = one.counts.reduce((sum, count) => sum + count, 0);
      return chip("class", one.name, one.line ? h("i", { class: "line", style: { background: one.color } }) : h("i", { class: "dot", style: { background: one.color } }), h("span", {}, one.name), h("small", {}, number(total)));
    });
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
    const states = STATES.map((name, n) => [name, n, view.classes.reduce((sum, one) => sum + one.counts[n], 0)]).filter(([, , count]) => count).map(([name, n, count]) => chip("state", name, markElement(n, ink), h("span", {}, name), h("small", {}, number(count))));
    const field = (name, label, options) => h("label", {}, label, h("input", { ...options, value: filter[name] ?? "", onchange: (event) => { if (event.target.reportValidity()) this.#page.setFilter({ [name]: event.target.value }); } }));
    const routes = h("label", {}, "Route", h("select", { onchange: (event) => this.#page.setFilter({ route: event.target.value }) }, h("option", { value: "" }, "all"), view.routes.map((code) => h("option", { value: code, selected: code === filter.route }, code))));
    const layers = LAYERS.filter(([name]) => (name === "kilometres" ? source.opened.reference : name === "survey" ? view.routes.length : true)).map(([name, label, ids]) => h("label", { class: "check" }, h("input", { type: "checkbox", checked: this.#layers[name], onchange: (event) => this.#layer(name, ids, event.target.checked) }), label));
    const download = (kind, label) => h("a", { class: "button", href: source.download(filter, kind), download: "" }, label);
    fill(this.#body,
      h("div", { class: "head" }, h("h2", { id: "count" }, `${number(view.assets)} assets`), h("button", { class: "quiet", hidden: !Object.keys(filter).length, onclick: () => { this.#page.setFilter(Object.fromEntries(Object.keys(filter).map((name) => [name, ""]))); this.#filter(); } }, "Clear")),
      h("h3", {}, "Class"), h("div", { class: "chips" }, classes),
      h("h3", {}, "State"), h("div", { class: "chips" }, states),
      h("h3", {}, "Where"), h("div", { class: "fields" }, view.routes.length ? routes : null, view.routes.length ? field("km", "Kilometre", { placeholder: "10-20", pattern: "\\s*\\d+(\\+\\d{3}|\\.\\d{1,3})?\\s*([-–]\\s*\\d+(\\+\\d{3}|\\.\\d{1,3})?\\s*)?", title: "As 10, 10-20 or 10+500-12+250" }) : null, h("div", { class: "chips" }, SIDES.map((one) => chip("side", one, h("span", {}, one))))),
      h("h3", {}, "Last seen"), h("div", { class: "fields two" }, field("since", "from", { type: "date" }), field("until", "to", { type: "date" })),
      h("h3", {}, "Score"), h("div", { class: "fields" }, field("score", "at least", { type: "number", min: 0, max: 1, step: 0.05, placeholder: "0.00" })),
      h("h3", {}, "Layers"), h("div", { class: "layers" }, layers),
      h("h3", {}, source.exported ? "All assets as a file" : "These assets as a file"), h("div", { class: "files" }, download("csv", "CSV"), download("geojson", "GeoJSON")),
      source.exported ? null : h("p", { class: "note" }, "Far out, one dot stands for all within 4 px. Zoom in, or filter, to see each."));
    this.#count();
  }

  async #count() {
    const asked = ++this.#asked, { view, filter, source } = this.#page;
    const count = Object.keys(filter).length ? (await source.list(filter).catch((error) => ({ count: error.message }))).count : view.assets;
    const place = $("count");
    if (asked !== this.#asked || !place) return;
    fill(place, typeof count === "number" ? `${number(count)} ${count === 1 ? "asset" : "assets"}` : count);
  }

  async #layer(name, ids, on) {
    this.#layers[name] = on;
    if (name === "survey" && on) this.#page.map.survey(await this.#page.source.survey());
    this.#page.map.layer(ids, on);
  }

  async #list() {
    const asked = ++this.#asked, { filter, source, map } = this.#page;
    let found;
    try {
      found = await source.list(filter, { bounds: map.bounds });
    } catch (error) {
      found = { count: 0, rows: [], error: error.message };
    }
    if (asked !== this.#asked || this.tab !== "list") return;
    this.#rows = found.rows;
    this.#at = this.#rows.findIndex((row) => row.asset_id === this.#page.asset);
    const colors = new Map(this.#page.view.classes.map((one) => [one.name, one.color]));
    const item = (row, n) => h("li", {}, h("button", { onclick: () => { this.#at = n; this.#page.select(row.asset_id, { go: true }); this.#mark(); } },
      markElement(STATES.indexOf(row.state), colors.get(row.class) ?? "#888"), h("span", {}, h("b", {}, row.class), h("small", {}, [row.state, row.route_code && `${row.route_code} ${chainage(row.km_m)}`, row.side, row.length_m && `${number(row.length_m)} m`].filter(Boolean).join(" · "))), h("small", { class: "figure" }, `± ${number(row.pos_sigma_m, 1)} m`)));
    fill(this.#body, h("div", { class: "head" }, h("h2", {}, `${number(found.count)} in view`), found.count > found.rows.length && h("small", {}, `the first ${number(found.rows.length)}`)), found.error && h("p", { class: "failed" }, found.error), h("ol", { class: "rows" }, this.#rows.map(item)));
    this.#mark();
  }

  #mark() {
    const items = [...this.#body.querySelectorAll(".rows button")];
    items.forEach((item, n) => item.setAttribute("aria-current", String(n === this.#at)));
    items[this.#at]?.scrollIntoView({ block: "nearest" });
  }

  async #changes() {
    const { source, view } = this.#page;
    const since = h("input", { type: "date" }), until = h("input", { type: "date" }), list = h("ol", { class: "rows" }), title = h("h2", {}, "Changes");
    const colors = new Map(view.classes.map((one) => [one.name, one.color]));
    const load = async () => {
      let rows;
      try {
        rows = await source.changes(since.value, until.value);
      } catch (error) {
        fill(list, h("li", { class: "failed" }, error.message));
        return;
      }
      fill(title, rows.length === 500 ? "The last 500 changes" : `${number(rows.length)} ${rows.length === 1 ? "change" : "changes"}`);
      fill(list, rows.map((row) => h("li", {}, h("button", { onclick: () => { this.#page.map.go(row.lon, row.lat); this.#page.select(row.asset_id); } },
        h("i", { class: "dot", style: { background: colors.get(row.class) ?? "#888" } }), h("span", {}, h("b", {}, `${row.change}: ${row.class}`), h("small", {}, [day(row.changed_at), row.route_code && `${row.route_code} ${chainage(row.km_m)}`, row.state && `now ${row.state}`].filter(Boolean).join(" · ")))))));
    };
    since.onchange = until.onchange = load;
    fill(this.#body, h("div", { class: "head" }, title), h("div", { class: "fields two" }, h("label", {}, "from", since), h("label", {}, "to", until)), list);
    await load();
  }
}
