// The time slider: every release whose register differs from the one before.

import { $, day, fill, h, number } from "./dom.js";

export class Timeline {
  #page; #waiting;

  constructor(page) {
    this.#page = page;
    this.show();
  }

  step(by) {
    const { releases } = this.#page.source.opened;
    const now = releases.findIndex((one) => one.release === this.#page.view.release);
    const next = releases[Math.max(0, Math.min(releases.length - 1, now + by))];
    if (next && next.release !== this.#page.view.release) this.#page.release(next.release);
  }

  show() {
    const { releases } = this.#page.source.opened, place = $("time");
    place.hidden = releases.length < 2;
    const now = Math.max(0, releases.findIndex((one) => one.release === this.#page.view.release));
    const label = h("output", {}), slider = h("input", { type: "range", min: 0, max: releases.length - 1, step: 1, value: now, "aria-label": "Release" });
    const tell = (n) => {
      const one = releases[n], before = releases[n - 1];
      const more = before ? one.assets - before.assets : 0;
      fill(label, h("b", {}, `Release ${one.release}`), ` ${day(one.created_at, true)} · ${number(one.assets)} assets`, more ? ` (${more > 0 ? "+" : "−"}${number(Math.abs(more))})` : "", h("small", {}, one.note));
      slider.setAttribute("aria-valuetext", `release ${one.release}`);
    };
    slider.oninput = () => {
      tell(Number(slider.value));
      clearTimeout(this.#waiting);
      this.#waiting = setTimeout(() => this.#page.release(releases[slider.value].release), 200);
    };
    if (releases.length) tell(now);
    fill(place, slider, label);
  }
}
