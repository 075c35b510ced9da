// The circumplex as a control: a click, a drag, the arrow keys or an emotion move the mark; each move triggers `input`.
const clamp = (x) => Math.max(-1, Math.min(1, Math.round(x * 100) / 100));
const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function move(valence, arousal, moving = false, emotion = "") {
  props.value = { ...props.value, valence: clamp(valence), arousal: clamp(arousal), moving, emotion };
  trigger("input");
}

function moveTo(event, moving) {
  const svg = element.querySelector("svg");
  const [box, view] = [svg.getBoundingClientRect(), svg.viewBox.baseVal];
  const scale = view.width / box.width / 100;
  move((event.clientX - box.left) * scale + view.x / 100, -(event.clientY - box.top) * scale - view.y / 100, moving);
}

element.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("svg") || event.target.closest("[data-emotion]")) return;
  element.setPointerCapture(event.pointerId);
  moveTo(event, true);
});
element.addEventListener("pointermove", (event) => {
  if (element.hasPointerCapture(event.pointerId)) moveTo(event, true);
});
element.addEventListener("pointerup", (event) => {
  if (element.hasPointerCapture(event.pointerId)) moveTo(event, false);
});
element.addEventListener("click", (event) => {
  const emotion = event.target.closest("[data-emotion]")?.dataset.emotion;
  if (emotion) move(...props.value.places[emotion], false, emotion);
});
element.addEventListener("keydown", (event) => {
  const way = event.target.closest("svg") && ways[event.key];
  if (!way) return;
  event.preventDefault();
  const step = event.shiftKey ? 0.2 : 0.05;
  move(props.value.valence + step * way[0], props.value.arousal + step * way[1]);
});
