// A field to draw in, with pen, finger or mouse. Its value is the drawing as the address of a PNG; see controls.py.
(() => {
  "use strict";
  const PEN = 0.075; // of the field's height: about as thick as ink in 28 rows of pixels

  class DrawingField extends Shiny.InputBinding {
    find(scope) {
      return $(scope).find(".drawing-field");
    }
    getValue(el) {
      return el.drawn ? el.querySelector("canvas").toDataURL("image/png") : null;
    }
    subscribe(el, changed) {
      const canvas = el.querySelector("canvas");
      const pen = canvas.getContext("2d");
      const wipe = () => {
        pen.fillStyle = "#fff";
        pen.fillRect(0, 0, canvas.width, canvas.height);
        el.drawn = false;
      };
      const place = (event) => {
        const box = canvas.getBoundingClientRect();
        return [
          ((event.clientX - box.left) / box.width) * canvas.width,
          ((event.clientY - box.top) / box.height) * canvas.height,
        ];
      };
      wipe();
      Object.assign(pen, { lineCap: "round", lineJoin: "round", strokeStyle: "#000", lineWidth: PEN * canvas.height });
      canvas.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        canvas.setPointerCapture(event.pointerId);
        pen.beginPath();
        pen.moveTo(...place(event));
        pen.lineTo(...place(event));
        pen.stroke();
        el.drawing = el.drawn = true;
      });
      canvas.addEventListener("pointermove", (event) => {
        if (!el.drawing) return;
        for (const step of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) pen.lineTo(...place(step));
        pen.stroke();
      });
      const lift = () => {
        if (!el.drawing) return;
        el.drawing = false;
        changed(false);
      };
      canvas.addEventListener("pointerup", lift);
      canvas.addEventListener("pointercancel", lift);
      el.querySelector("button").addEventListener("click", () => {
        wipe();
        changed(false);
      });
    }
  }
  Shiny.inputBindings.register(new DrawingField(), "underlie.drawing");
})();
