// The picture as a control: a click on a face chooses it; the bar shows more of the photo as it was.
// Its place is kept outside of the template, and stays where it is while the picture changes.
element.addEventListener("input", (event) => element.style.setProperty("--before", `${event.target.value}%`));
element.addEventListener("click", (event) => {
  const face = event.target.closest("[data-face]");
  if (face) trigger("select", { index: Number(face.dataset.face), value: face.title });
  else if (event.target.closest("[data-download]")) trigger("download");
});
