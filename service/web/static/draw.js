// Draws an image for a model: what is drawn stands as numbers in the field below it, the mean of each cell of the image.
const pad = document.getElementById("draw");
const canvas = pad.querySelector("canvas");
const ink = canvas.getContext("2d", { willReadFrequently: true });
const rows = document.getElementById("rows");
const [channels, height, width, low, high] = ["channels", "height", "width", "low", "high"].map(k => +pad.dataset[k]);
const cell = Math.ceil(256 / Math.max(height, width));
canvas.width = cell * width;
canvas.height = cell * height;
const clear = () => {
  ink.fillStyle = "#000";
  ink.fillRect(0, 0, canvas.width, canvas.height);
};
const shade = (row, column) => {
  const { data } = ink.getImageData(column * cell, row * cell, cell, cell);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum += data[at];
  return +(low + (high - low) * sum / (255 * cell * cell)).toFixed(2);
};
const read = () => {
  const image = Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => shade(row, column)));
  rows.value = JSON.stringify(Array(channels).fill(image));
};
const place = event => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.x) * canvas.width / box.width, (event.clientY - box.y) * canvas.height / box.height];
};
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  Object.assign(ink, { strokeStyle: "#fff", lineCap: "round", lineJoin: "round", lineWidth: canvas.width / 9 });
  ink.beginPath();
  ink.moveTo(...place(event));
});
canvas.addEventListener("pointermove", event => {
  if (!canvas.hasPointerCapture(event.pointerId)) return;
  ink.lineTo(...place(event));
  ink.stroke();
});
canvas.addEventListener("pointerup", read);
pad.querySelector("button").addEventListener("click", () => {
  clear();
  rows.value = "";
});
clear();
pad.hidden = false;
