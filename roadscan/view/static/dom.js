// Elements from texts. Nothing here or elsewhere reads text as HTML: names, ids and addresses of a warehouse are text.

/** An element: h("a", {href: "x", onclick: f}, "text", child). A name that an element has as property is set as one. */
export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "style") Object.assign(made.style, value);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Chainage as signs have it: 2430 is 2+430. */
export function chainage(metres) {
  return metres === null || metres === undefined ? "" : `${Math.floor(metres / 1000)}+${String(metres % 1000).padStart(3, "0")}`;
}

export function number(value, digits = 0) {
  return value === null || value === undefined ? "" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

let zone = "UTC";
export function setZone(name) {
  zone = name;
}

/** A time in the warehouse's zone: "3 Nov 2026", or with the minute. */
export function day(iso, withTime = false) {
  if (!iso) return "";
  const options = { day: "numeric", month: "short", year: "numeric", timeZone: zone };
  if (withTime) Object.assign(options, { hour: "2-digit", minute: "2-digit", hour12: false });
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(iso));
}

let waiting;
export function toast(text, action) {
  const place = $("toast");
  clearTimeout(waiting);
  fill(place, h("span", {}, text), action && h("button", { onclick: () => { place.hidden = true; action.run(); } }, action.label));
  place.hidden = false;
  waiting = setTimeout(() => { place.hidden = true; }, action ? 15000 : 5000);
}
