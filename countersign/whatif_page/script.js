for (const box of document.querySelectorAll(".explore")) {
  const points = JSON.parse(box.dataset.points);
  const [slider, out] = [box.querySelector("input"), box.querySelector("output")];
  const show = () => {
    const [risk, closed, wrong] = points[slider.value];
    out.textContent = `risk up to ${risk}: closes ${closed}, of them wrong ${wrong}`;
  };
  slider.addEventListener("input", show);
  show();
  box.hidden = false;
}
