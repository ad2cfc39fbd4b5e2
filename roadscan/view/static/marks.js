// How assets look: a colour for the class, a form for the state, so that neither needs the other.

export const STATES = ["confirmed", "candidate", "suspect", "missing", "rejected"];
const SIDE = 22;

/** Draw the mark of a state in a colour, in the middle of a square of `side` units. */
export function drawMark(context, state, color, paper, side = SIDE) {
  const middle = side / 2, radius = side * 0.27;
  const disc = (size) => { context.beginPath(); context.arc(middle, middle, size, 0, 2 * Math.PI); };
  context.lineCap = "round";
  context.fillStyle = paper;
  disc(radius + side * 0.12);
  context.fill();
  context.fillStyle = color;
  context.strokeStyle = color;
  context.lineWidth = side * 0.11;
  if (state === 0) { disc(radius + side * 0.05); context.fill(); }
  if (state === 1) { disc(radius); context.stroke(); }
  if (state === 2) {
    disc(radius);
    context.stroke();
    context.beginPath();
    context.arc(middle, middle, radius, Math.PI / 2, 1.5 * Math.PI);
    context.fill();
  }
  if (state >= 3) {
    const reach = radius * 0.95;
    if (state === 4) context.globalAlpha = 0.5;
    context.lineWidth = side * 0.14;
    context.beginPath();
    context.moveTo(middle - reach, middle - reach);
    context.lineTo(middle + reach, middle + reach);
    context.moveTo(middle + reach, middle - reach);
    context.lineTo(middle - reach, middle + reach);
    context.stroke();
    context.globalAlpha = 1;
  }
}

/** The mark as MapLibre takes an image. */
export function markImage(state, color, paper, ratio) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  drawMark(context, state, color, paper);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** The mark as an element of a legend. */
export function markElement(state, color) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 2 * SIDE;
  canvas.className = "mark";
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  drawMark(context, state, color, "transparent");
  return canvas;
}
