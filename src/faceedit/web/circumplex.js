// The circumplex as a control: click, drag, or the arrow keys move the mark, and each move triggers `input`.
// Whatever is set to `props.value` redraws the template, so listeners belong to the element around it.
const clamp = (x) => Math.max(-1, Math.min(1, Math.round(x * 100) / 100));
const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function move(valence, arousal) {
  props.value = { ...props.value, valence: clamp(valence), arousal: clamp(arousal) };
  trigger("input");
}

function moveTo(event) {
  const svg = element.querySelector("svg");
  const [box, view] = [svg.getBoundingClientRect(), svg.viewBox.baseVal];
  const scale = view.width / box.width / 100;
  move((event.clientX - box.left) * scale + view.x / 100, -(event.clientY - box.top) * scale - view.y / 100);
}

element.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("svg")) return;
  const name = event.target.closest("[data-valence]");
  if (name) {
    move(Number(name.dataset.valence), Number(name.dataset.arousal));
  } else {
    element.setPointerCapture(event.pointerId);
    moveTo(event);
  }
});
element.addEventListener("pointermove", (event) => {
  if (element.hasPointerCapture(event.pointerId)) moveTo(event);
});
element.addEventListener("keydown", (event) => {
  const way = ways[event.key];
  if (!way) return;
  event.preventDefault();
  const step = event.shiftKey ? 0.2 : 0.05;
  move(props.value.valence + step * way[0], props.value.arousal + step * way[1]);
});
