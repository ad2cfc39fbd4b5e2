// The page: what is shown, kept in its address, so that it can be sent to someone and the back button works.

import { AssetPanel } from "./asset.js";
import { $, fill, h, setZone, toast } from "./dom.js";
import { AssetMap } from "./map.js";
import { Review } from "./review.js";
import { Side } from "./side.js";
import { openSource } from "./source.js";
import { Timeline } from "./time.js";

const MANY = ["class", "state", "side"];
const KEYS = [
  ["/", "search"], ["f  l  c", "filter, list, changes"], ["v", "review: a accept, r reject, m merge, s split, n note, u undo, g grid"], ["j  k", "next, previous of the list"],
  ["← →", "photographs of an asset"], ["b", "box on or off"], ["o", "whole photograph"], ["[  ]", "earlier, later release"],
  ["Esc", "close"], ["?", "these keys"],
];
const POLL_MS = 20000;

class Page {
  filter = {};
  asset = null;

  async start() {
    this.theme = localStorage.getItem("roadscan.theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = this.theme;
    try {
      this.source = await openSource();
    } catch (error) {
      fill($("map"), h("p", { class: "failed" }, error.message));
      return;
    }
    const { opened } = this.source;
    setZone(opened.zone);
    document.title = `${opened.warehouse.split("/").pop()} · roadscan`;
    fill($("where"), opened.warehouse);
    $("where").title = opened.warehouse;
    const asked = this.#read();
    this.view = opened.view;
    if (asked.release && asked.release !== String(this.view.release)) await this.#open(asked.release);
    this.map = new AssetMap(this.source, this.theme, {
      asset: (id) => this.select(id),
      moved: () => { this.#write(); this.side.moved(); },
      place: (at) => this.review.place(at),
    });
    this.side = new Side(this);
    this.panel = new AssetPanel(this);
    this.time = new Timeline(this);
    this.review = new Review(this);
    if (asked.map) this.map.view = asked.map;
    this.#bind();
    await this.map.ready;
    this.map.show(this.filter, this.view.classes);
    this.side.restore();
    if (asked.asset) this.select(asked.asset, { go: !asked.map });
    if (asked.tab) this.side.open(asked.tab);
    if (asked.review) this.review.open();
    document.documentElement.dataset.ready = "yes";
    if (!this.source.exported) setInterval(() => this.#look(), POLL_MS);
  }

  /** Show assets that pass another filter. */
  setFilter(change) {
    this.filter = { ...this.filter, ...change };
    for (const [name, value] of Object.entries(this.filter)) if (!value?.length) delete this.filter[name];
    this.map.show(this.filter, this.view.classes);
    this.side.filtered();
    this.#write();
  }

  async select(id, { go = false, quiet = false } = {}) {
    this.asset = id;
    this.#write();
    if (!id) {
      this.map.select(null);
      this.panel.close();
      return;
    }
    if (!quiet) this.panel.wait(id);
    try {
      const details = await this.source.details(id);
      if (this.asset !== id) return;
      this.asset = details.asset.asset_id;
      this.map.select(details);
      if (go) this.map.go(details.asset.lon, details.asset.lat);
      if (!quiet) this.panel.show(details, id);
    } catch (error) {
      if (this.asset === id && !quiet) this.panel.failed(id, error.message);
    }
  }

  /** Show another release. */
  async release(number) {
    try {
      await this.#open(number);
    } catch (error) {
      toast(error.message);
      return;
    }
    this.map.show(this.filter, this.view.classes);
    this.side.released();
    this.time.show();
    if (this.asset) this.select(this.asset);
    this.#write();
  }

  async #open(number) {
    const known = this.source.opened.releases.find((one) => String(one.release) === String(number));
    if (!known) throw new Error(`release ${number}: not one of this warehouse's registers`);
    const before = this.source.key;
    this.source.key = known.key;
    try {
      this.view = await this.source.view();
    } catch (error) {
      this.source.key = before;
      throw error;
    }
  }

  /** Whether a newer release is there; it is shown when someone asks for it, so that nothing changes under a hand. */
  async #look() {
    if (document.hidden) return;
    try {
      const { release } = await this.source.now();
      if (this.lost) toast("The server answers again.");
      this.lost = false;
      if (release === this.newest || release <= this.source.opened.releases.at(-1).release) return;
      this.newest = release;
      const { opened } = await openSource();
      if (opened.releases.at(-1).release <= this.source.opened.releases.at(-1).release) return;
      this.source.opened = opened;
      this.time.show();
      toast(`Release ${opened.releases.at(-1).release} was published.`, { label: "Show it", run: () => this.release(opened.releases.at(-1).release) });
    } catch {
      if (!this.lost) toast("The server does not answer. What is on the page stays; start it again to go on.");
      this.lost = true;
    }
  }

  #read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    this.filter = {};
    for (const name of ["class", "state", "side", "route", "km", "since", "until", "score"]) {
      const values = asked.getAll(name).filter(Boolean);
      if (values.length) this.filter[name] = MANY.includes(name) ? values : values[0];
    }
    return Object.fromEntries(["map", "asset", "release", "tab", "review"].map((name) => [name, asked.get(name)]));
  }

  #write() {
    if (!this.map) return;
    const now = new URLSearchParams({ map: this.map.view });
    if (this.view.release !== this.source.opened.releases.at(-1)?.release) now.set("release", this.view.release);
    if (this.asset) now.set("asset", this.asset);
    if (this.side?.tab && this.side.tab !== "filter") now.set("tab", this.side.tab);
    if (this.review?.on) now.set("review", "1");
    for (const [name, value] of Object.entries(this.filter)) for (const one of [value].flat()) now.append(name, one);
    history.replaceState(null, "", `#${now.toString().replaceAll("%2F", "/")}`);
  }

  written() {
    this.#write();
  }

  #bind() {
    const themes = { light: "☀", dark: "☾" };
    const button = $("theme");
    const name = () => fill(button, themes[this.theme]);
    name();
    button.onclick = () => {
      this.theme = this.theme === "dark" ? "light" : "dark";
      localStorage.setItem("roadscan.theme", this.theme);
      document.documentElement.dataset.theme = this.theme;
      this.map.theme(this.theme);
      name();
    };
    $("help").onclick = () => this.#keys();
    this.#search();
    addEventListener("hashchange", () => location.reload());
    addEventListener("keydown", (event) => this.#key(event));
  }

  #keys() {
    const rows = KEYS.map(([keys, what]) => h("tr", {}, h("td", {}, keys.split("  ").map((key) => h("kbd", {}, key))), h("td", {}, what)));
    fill($("keys"), h("h2", {}, "Keys"), h("table", {}, rows), h("form", { method: "dialog" }, h("button", {}, "Close")));
    $("keys").querySelector("form").onsubmit = (event) => { event.preventDefault(); $("keys").close(); };
    $("keys").showModal();
  }

  #search() {
    const form = $("search"), list = $("found"), input = form.q;
    const chosen = (one) => {
      list.hidden = true;
      input.blur();
      this.map.go(one.lon, one.lat, one.kind === "asset" ? 18 : 17);
      if (one.id) this.select(one.id);
    };
    let waiting;
    const look = async (go) => {
      const text = input.value.trim();
      if (!text) { list.hidden = true; return; }
      const found = await this.source.search(text).catch(() => []);
      if (text !== input.value.trim()) return;
      if (go && found.length) return chosen(found[0]);
      const choice = (one) => h("li", {}, h("button", { type: "button", onclick: () => chosen(one) }, h("b", {}, one.label), one.what && h("small", {}, one.what)));
      fill(list, found.length ? found.map(choice) : h("li", {}, h("i", {}, "Nothing is called so here.")));
      list.hidden = false;
    };
    input.oninput = () => { clearTimeout(waiting); waiting = setTimeout(look, 150); };
    form.onsubmit = (event) => { event.preventDefault(); clearTimeout(waiting); look(true); };
    addEventListener("click", (event) => { if (!form.contains(event.target)) list.hidden = true; });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (event.target.matches("input, textarea")) event.target.blur();
      else if (this.review.on) this.review.escape();
      else this.select(null);
      $("found").hidden = true;
      return;
    }
    if (event.target.matches("input, textarea, select")) return;
    if (this.review.on && this.review.key(event)) { event.preventDefault(); return; }
    const does = {
      "/": () => $("search").q.focus(), "?": () => this.#keys(), f: () => this.side.open("filter"), l: () => this.side.open("list"),
      c: () => this.side.open("changes"), v: () => this.review.toggle(), j: () => this.side.step(1), k: () => this.side.step(-1),
      "[": () => this.time.step(-1), "]": () => this.time.step(1), ArrowLeft: () => this.panel.step(-1), ArrowRight: () => this.panel.step(1),
      b: () => this.panel.boxes(), o: () => this.panel.whole(),
    }[event.key];
    if (!does || (event.key.startsWith("Arrow") && event.target.closest("#map, input"))) return;
    event.preventDefault();
    does();
  }
}

new Page().start();
