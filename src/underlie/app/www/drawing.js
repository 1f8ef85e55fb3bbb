// A field to draw in, with pen, finger, mouse or keys. Its value is the drawing as the address of a PNG; see controls.py.
(() => {
  "use strict";
  const PEN = 0.075; // of the field's height: about as thick as ink in 28 rows of pixels
  const ROWS = 28; // places of the pen that keys move, from top to bottom
  const FAR = 4; // places that it moves with Shift
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

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
      const begin = (x, y) => {
        pen.beginPath();
        pen.moveTo(x, y);
        pen.lineTo(x, y);
        pen.stroke();
        el.drawing = el.drawn = true;
      };
      const goOn = (...places) => {
        places.forEach((place) => pen.lineTo(...place));
        pen.stroke();
      };
      const lift = () => {
        if (!el.drawing) return;
        el.drawing = false;
        changed(false);
      };
      wipe();
      Object.assign(pen, { lineCap: "round", lineJoin: "round", strokeStyle: "#000", lineWidth: PEN * canvas.height });
      byPointer(canvas, { begin, goOn, lift, isDown: () => el.drawing });
      const keys = byKeys(el, canvas, { begin, goOn, lift, isDown: () => el.drawing });
      el.querySelector("button").addEventListener("click", () => {
        wipe();
        keys.home();
        changed(false);
      });
    }
  }

  const byPointer = (canvas, { begin, goOn, lift, isDown }) => {
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        ((event.clientX - box.left) / box.width) * canvas.width,
        ((event.clientY - box.top) / box.height) * canvas.height,
      ];
    };
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      begin(...place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!isDown() || !canvas.hasPointerCapture(event.pointerId)) return;
      goOn(...(event.getCoalescedEvents ? event.getCoalescedEvents() : [event]).map(place));
    });
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
  };

  // Keys move a ring over the field; what happens is said as well, for those who cannot see it.
  const byKeys = (el, canvas, { begin, goOn, lift, isDown }) => {
    const columns = Math.round((ROWS * canvas.width) / canvas.height);
    const ring = el.querySelector(".pen");
    const status = el.querySelector("[role=status]");
    let column, row;
    const place = () => [((column + 0.5) / columns) * canvas.width, ((row + 0.5) / ROWS) * canvas.height];
    const show = () => {
      ring.style.left = `${(100 * (column + 0.5)) / columns}%`;
      ring.style.top = `${(100 * (row + 0.5)) / ROWS}%`;
      ring.classList.toggle("down", Boolean(isDown()));
    };
    const say = (what) => {
      show();
      status.textContent = `${what}: column ${column + 1} of ${columns}, row ${row + 1} of ${ROWS}`;
    };
    const home = () => {
      [column, row] = [Math.floor(columns / 2), Math.floor(ROWS / 2)];
      show();
      status.textContent = "";
    };
    home();
    canvas.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if ((!arrow && event.key !== " ") || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      if (event.key === " ") {
        if (event.repeat) return;
        if (isDown()) lift();
        else begin(...place());
        return say(isDown() ? "Pen down" : "Pen lifted");
      }
      const by = event.shiftKey ? FAR : 1;
      column = Math.min(columns - 1, Math.max(0, column + by * arrow[0]));
      row = Math.min(ROWS - 1, Math.max(0, row + by * arrow[1]));
      if (isDown()) goOn(place());
      say(isDown() ? "Drawing" : "Pen up");
    });
    canvas.addEventListener("blur", () => {
      if (!isDown()) return;
      lift();
      say("Pen lifted");
    });
    return { home };
  };
  Shiny.inputBindings.register(new DrawingField(), "underlie.drawing");
})();
