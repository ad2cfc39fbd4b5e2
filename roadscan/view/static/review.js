// Judging assets by their photographs, the least sure first, with keys. What is decided waits in the warehouse for the
// next register. The next ones are fetched and decoded before they are wanted, so a key shows the next one at once.

import { picture } from "./asset.js";
import { $, day, fill, h, number, toast } from "./dom.js";
import { markElement, STATES } from "./marks.js";

const ACTIONS = [["a", "accept", "it is there"], ["r", "reject", "it is none"], ["m", "merge", "with another one"], ["s", "split", "a second one stands there"], ["d", "damaged", ""], ["e", "repaired", ""], ["x", "revoke", "what was decided before"]];
const AHEAD = 6; // that are fetched before they are wanted
const CELLS = 24; // of the grid
const NEAR_DEG = 0.0006; // about 65 m
const RETRY_MS = 3000;

export class Review {
  #page; #place; #items = []; #at = 0; #known = new Map(); #pending = []; #mine = []; #sending = []; #busy = false; #note = null; #near = null; #grid = false; #total = 0; #drawing = 0;

  constructor(page) {
    this.#page = page;
    this.#place = $("review");
    this.on = false;
    this.reviewer = localStorage.getItem("roadscan.reviewer") || page.source.opened.reviewer || "reviewer";
    addEventListener("beforeunload", (event) => { if (this.#sending.length) event.preventDefault(); });
  }

  toggle() {
    if (this.on) this.close();
    else this.open();
  }

  async open() {
    if (this.#page.source.exported) return;
    this.on = true;
    document.body.dataset.review = "open";
    this.#page.panel.close();
    this.#place.hidden = false;
    $("side").hidden = true;
    this.#press();
    fill(this.#place, h("p", { class: "note" }, "The least sure first …"));
    try {
      const [found, pending] = await Promise.all([this.#page.source.list(this.#page.filter, { order: "worst" }), this.#page.source.reviews()]);
      this.#pending = pending;
      const decided = new Set(pending.map((one) => one.asset_id));
      this.#total = found.count;
      this.#items = found.rows.filter((row) => row.state !== "rejected" && !decided.has(row.asset_id)).map((row) => ({ row, decision: null }));
    } catch (error) {
      fill(this.#place, h("p", { class: "failed" }, error.message));
      return;
    }
    this.#at = 0;
    this.#show();
    this.#page.map.resize();
    this.#page.written();
  }

  close() {
    this.on = false;
    this.#asked(null);
    this.#note = null;
    this.#near = null;
    this.#place.hidden = true;
    document.body.dataset.review = "";
    this.#press();
    this.#page.side.open(innerWidth <= 760 ? null : "filter");
    this.#page.map.resize();
    this.#page.written();
  }

  escape() {
    if (this.#page.map.asking || this.#near || this.#note !== null) {
      this.#asked(null);
      this.#near = null;
      this.#note = null;
      this.#show();
    } else this.close();
  }

  /** A key while reviewing; whether it meant something. */
  key(event) {
    if (this.#near && /^[1-9]$/.test(event.key)) { this.#merge(Number(event.key) - 1); return true; }
    const action = ACTIONS.find(([key]) => key === event.key)?.[1];
    if (action) { this.#choose(action); return true; }
    const does = { " ": () => this.#go(1), j: () => this.#go(1), ArrowRight: () => this.#go(1), k: () => this.#go(-1), ArrowLeft: () => this.#go(-1), ArrowDown: () => this.#go(this.#grid ? this.#columns() : 1), ArrowUp: () => this.#go(this.#grid ? -this.#columns() : -1), u: () => this.#undo(), g: () => { this.#grid = !this.#grid; this.#show(); }, n: () => this.#noted(), o: () => this.#page.panel.whole() }[event.key];
    if (event.target.closest?.("button") && event.key === " ") return false;
    does?.();
    return Boolean(does);
  }

  /** Where the map was clicked, while a place is asked for. */
  place(at) {
    this.#asked(null);
    this.#decide("split", { lon: at.lng, lat: at.lat });
  }

  get #item() {
    return this.#items[this.#at];
  }

  #press() {
    for (const button of $("tabs").children) if (this.on || button.dataset.tab === "review") button.setAttribute("aria-pressed", String(this.on && button.dataset.tab === "review"));
  }

  #columns() {
    return Math.max(1, getComputedStyle(this.#place.querySelector(".cells")).gridTemplateColumns.split(" ").length);
  }

  #go(by) {
    this.#at = Math.max(0, Math.min(this.#items.length, this.#at + by));
    this.#near = null;
    this.#asked(null);
    this.#show();
  }

  #asked(what) {
    this.#page.map.asking = what;
    document.body.classList.toggle("asking", Boolean(what));
  }

  async #choose(action) {
    const item = this.#item;
    if (!item) return;
    if (action === "split") {
      this.#asked("split");
      toast("Click on the map where the second one stands. Esc leaves it.");
      return;
    }
    if (action !== "merge") { this.#decide(action); return; }
    const { row } = item;
    const box = [row.lon - NEAR_DEG, row.lat - NEAR_DEG, row.lon + NEAR_DEG, row.lat + NEAR_DEG];
    const found = await this.#page.source.list({ class: [row.class] }, { bounds: box }).catch(() => ({ rows: [] }));
    const away = (one) => Math.hypot((one.lon - row.lon) * Math.cos((row.lat * Math.PI) / 180), one.lat - row.lat) * 111320;
    this.#near = found.rows.filter((one) => one.asset_id !== row.asset_id && (one.length_m === null) === (row.length_m === null)).map((one) => ({ ...one, away: away(one) })).sort((a, b) => a.away - b.away).slice(0, 9);
    if (!this.#near.length) { this.#near = null; toast(`No other ${row.class} is near.`); return; }
    this.#show();
  }

  #merge(n) {
    const target = this.#near?.[n];
    this.#near = null;
    if (target) this.#decide("merge", { target_id: target.asset_id });
  }

  #noted() {
    this.#note = this.#note ?? "";
    this.#show();
    this.#place.querySelector(".noting input")?.focus();
  }

  /** Show the next one at once; the decision is sent meanwhile, and told where it could not be kept. */
  #decide(action, more = {}) {
    const item = this.#item;
    if (!item || item.decision) return;
    const last = this.#pending.filter((one) => one.asset_id === item.row.asset_id).at(-1);
    const sent = { asset_id: item.row.asset_id, action, reviewer: this.reviewer, note: this.#note || null, after: last?.id ?? null, ...more };
    item.decision = { ...sent, state: "sending" };
    this.#note = null;
    this.#mine.push(item);
    this.#sending.push([item, sent]);
    const next = this.#items.findIndex((one, n) => n > this.#at && !one.decision);
    this.#at = next < 0 ? this.#items.length : next;
    this.#show();
    this.#send();
  }

  async #send() {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#sending.length) {
      const [item, sent] = this.#sending[0];
      try {
        const made = await this.#page.source.decide(sent);
        item.decision = { ...made, state: "kept" };
        this.#pending.push(made);
      } catch (error) {
        if (!error.status) { // the server does not answer: nothing is lost while the page is open
          this.#tell();
          await new Promise((done) => setTimeout(done, RETRY_MS));
          continue;
        }
        item.decision = null;
        this.#mine = this.#mine.filter((one) => one !== item);
        toast(error.message, { label: "Look at it", run: () => { this.#at = this.#items.indexOf(item); this.#show(); } });
        if (error.status === 409) this.#pending = await this.#page.source.reviews().catch(() => this.#pending);
      }
      this.#sending.shift();
      this.#tell();
    }
    this.#busy = false;
  }

  async #undo() {
    const item = this.#mine.at(-1);
    if (!item) { toast("Nothing of yours to take back."); return; }
    if (item.decision.state !== "kept") return;
    try {
      await this.#page.source.undo(item.decision.id);
    } catch (error) {
      toast(error.message);
      return;
    }
    this.#pending = this.#pending.filter((one) => one.id !== item.decision.id);
    this.#mine.pop();
    item.decision = null;
    this.#at = this.#items.indexOf(item);
    this.#show();
  }

  /** The details of an asset and its first pictures, decoded. */
  #fetch(item) {
    const id = item.row.asset_id;
    if (!this.#known.has(id)) {
      const color = this.#page.view.classes.find((one) => one.name === item.row.class)?.color ?? "#888";
      const load = async () => {
        const details = await this.#page.source.details(id);
        const pictures = details.photographs.slice(0, 4).map((_, n) => picture(this.#page.source, details, n, color));
        await Promise.allSettled(pictures.slice(0, 1).map((one) => one.querySelector("img")?.decode()));
        return { details, pictures };
      };
      this.#known.set(id, {});
      load().catch((error) => ({ error })).then((made) => { this.#known.set(id, made); this.#arrived(item); });
    }
    return this.#known.get(id);
  }

  /** Show what was fetched, if it is in sight; several that come together at once. */
  #arrived(item) {
    if (!this.on || this.#drawing || (this.#grid ? Math.floor(this.#items.indexOf(item) / CELLS) !== Math.floor(this.#at / CELLS) : item !== this.#item)) return;
    this.#drawing = requestAnimationFrame(() => { this.#drawing = 0; this.#draw(); });
  }

  #show() {
    if (!this.on) return;
    this.#draw();
    if (this.#item) {
      this.#page.select(this.#item.row.asset_id, { quiet: true });
      this.#page.map.go(this.#item.row.lon, this.#item.row.lat, 18.5);
    }
  }

  #draw() {
    for (const ahead of this.#items.slice(this.#at, this.#at + AHEAD)) this.#fetch(ahead);
    const item = this.#item;
    const who = h("input", { value: this.reviewer, "aria-label": "Reviewer", maxlength: 100, onchange: (event) => { this.reviewer = event.target.value.trim() || this.reviewer; localStorage.setItem("roadscan.reviewer", this.reviewer); } });
    const head = h("div", { class: "head" }, h("h2", {}, `Review`), h("small", { id: "judged" }), h("label", { class: "who" }, "as", who), h("button", { class: "quiet", onclick: () => { this.#grid = !this.#grid; this.#show(); } }, this.#grid ? "One (g)" : "Grid (g)"), h("button", { class: "icon", "aria-label": "Close", onclick: () => this.close() }, "×"));
    fill(this.#place, head, item ? (this.#grid ? this.#cells() : this.#one(item)) : this.#done());
    this.#tell();
  }

  #one(item) {
    const { row } = item, known = this.#fetch(item);
    const place = h("div", { class: "judge" });
    if (known.error) place.append(h("p", { class: "failed" }, known.error.message));
    else if (!known.details) place.append(h("div", { class: "picture" }, h("p", { class: "gone" }, "…")));
    else if (!known.pictures.length) place.append(h("div", { class: "picture" }, h("p", { class: "gone" }, "No photograph of it is named in this release.")));
    else {
      const caption = (n) => { const one = known.details.photographs[n]; return h("small", {}, [one.box_px ? null : "not detected", day(one.captured_at)].filter(Boolean).join(" · ")); };
      place.append(h("figure", { class: "large" }, known.pictures[0], caption(0)), h("div", { class: "others" }, known.pictures.slice(1).map((one, n) => h("figure", {}, one, caption(n + 1)))));
    }
    const color = this.#page.view.classes.find((one) => one.name === row.class)?.color ?? "#888";
    const facts = h("p", { class: "facts" }, markElement(STATES.indexOf(row.state), color), h("b", {}, row.class), [row.state, `score ${number(row.score, 2)}`, row.existence !== null && `stands ${number(row.existence, 2)}`, `${row.n_nights} ${row.n_nights === 1 ? "night" : "nights"}`, `± ${number(row.pos_sigma_m, 1)} m`, row.side].filter(Boolean).join(" · "));
    return [place, facts, h("code", {}, row.asset_id), item.decision && this.#decided(item), this.#nearby(), this.#noting(), this.#buttons()];
  }

  #decided(item) {
    return h("p", { class: "decided" }, `${item.decision.action} by ${item.decision.reviewer}`, item.decision.note && ` · ${item.decision.note}`);
  }

  #nearby() {
    return this.#near && h("div", { class: "near" }, h("h3", {}, "It is the same as"), this.#near.map((one, n) => h("button", { class: "chip", onclick: () => this.#merge(n) }, h("kbd", {}, n + 1), h("span", {}, `${one.state}, ${number(one.away, 1)} m away`), h("small", {}, `${one.n_nights} ${one.n_nights === 1 ? "night" : "nights"}`))));
  }

  #noting() {
    return this.#note !== null && h("form", { class: "noting", onsubmit: (event) => { event.preventDefault(); event.target.q.blur(); } }, h("input", { name: "q", value: this.#note, maxlength: 2000, placeholder: "Note, goes with the next decision", oninput: (event) => { this.#note = event.target.value; } }));
  }

  #buttons() {
    return h("div", { class: "acts" }, ACTIONS.map(([key, name, what]) => h("button", { class: "act", title: what, onclick: () => this.#choose(name) }, h("kbd", {}, key), name)), h("button", { class: "act", onclick: () => this.#noted() }, h("kbd", {}, "n"), "note"), h("button", { class: "act", onclick: () => this.#go(1) }, h("kbd", {}, "space"), "skip"), h("button", { class: "act", onclick: () => this.#undo() }, h("kbd", {}, "u"), "undo"));
  }

  #cells() {
    const start = Math.floor(this.#at / CELLS) * CELLS;
    const cells = this.#items.slice(start, start + CELLS).map((item, n) => {
      const known = this.#fetch(item);
      const color = this.#page.view.classes.find((one) => one.name === item.row.class)?.color ?? "#888";
      return h("button", { class: "cell", "aria-current": String(start + n === this.#at), onclick: () => { this.#at = start + n; this.#show(); } },
        known.pictures?.[0] ?? h("div", { class: "picture" }, h("p", { class: "gone" }, known.error?.message ?? (known.details ? "no photograph" : "…"))), h("small", {}, markElement(STATES.indexOf(item.row.state), color), item.decision ? h("b", {}, item.decision.action) : item.row.class));
    });
    return [h("div", { class: "cells" }, cells), this.#nearby(), this.#noting(), this.#buttons()];
  }

  #done() {
    const refused = this.#pending.filter((one) => one.refused);
    return [h("p", {}, this.#items.length ? "All of these are judged." : "Nothing here waits for a judgement."),
      h("p", { class: "note" }, `${number(this.#pending.length)} ${this.#pending.length === 1 ? "decision waits" : "decisions wait"} for the next roadscan inventory.`),
      refused.length && h("ul", { class: "told" }, refused.map((one) => h("li", {}, h("b", {}, `${one.action} ${one.asset_id}`), ` ${one.refused} `, h("button", { class: "quiet", onclick: async () => { await this.#page.source.undo(one.id).catch((error) => toast(error.message)); this.open(); } }, "Take back"))))];
  }

  #tell() {
    const place = $("judged");
    if (!place) return;
    const unsent = this.#sending.length;
    fill(place, `${number(Math.min(this.#at + 1, this.#items.length))} of ${number(this.#items.length)}${this.#total > 500 ? ` (${number(this.#total)} in all)` : ""} · ${number(this.#mine.length)} judged`, unsent ? h("b", { class: "unsent" }, ` · ${number(unsent)} not kept yet`) : null);
    document.body.dataset.unsent = String(unsent);
  }
}
