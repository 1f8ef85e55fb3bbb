// Controls that answer while a pointer moves, and pictures. What they send and are sent is in controls.py.
(() => {
  "use strict";
  const ours = (window.underlie = window.underlie || {});

  // Sends the newest value as soon as the server has answered the last one: never a queue, never a pause.
  let answering = false;
  const waiting = new Map();
  let patience = null;

  const send = (name, value) => {
    answering = true;
    clearTimeout(patience);
    patience = setTimeout(answered, 2000); // an answer that never comes must not end the conversation
    Shiny.setInputValue(name, value, { priority: "event" });
  };
  const answered = () => {
    answering = false;
    clearTimeout(patience);
    const next = waiting.entries().next();
    if (!next.done) {
      waiting.delete(next.value[0]);
      send(...next.value);
    }
  };
  ours.sendLatest = (name, value) => {
    if (answering) waiting.set(name, value);
    else send(name, value);
  };
  $(document).on("shiny:idle", answered);

  // Pictures: the same <img> elements get new addresses, so that nothing flickers and focus stays.
  class Pictures extends Shiny.OutputBinding {
    find(scope) {
      return $(scope).find(".pictures");
    }
    renderValue(el, pictures) {
      this.clearError(el);
      if (pictures === null) pictures = [];
      if (pictures.said) return el.replaceChildren(said(pictures.said, pictures.kind));
      while (el.children.length > pictures.length) el.lastChild.remove();
      pictures.forEach((picture, i) => {
        const figure = el.children[i] || el.appendChild(newFigure());
        const [image, caption] = figure.children;
        image.src = picture.src;
        image.alt = picture.alt;
        caption.textContent = picture.caption;
      });
    }
    renderError(el, error) {
      el.replaceChildren(said(error.message, "problem"));
    }
    clearError(el) {
      el.querySelectorAll(".said").forEach((old) => old.remove());
    }
    showProgress() {}
  }
  const newFigure = () => {
    const figure = document.createElement("figure");
    figure.append(document.createElement("img"), document.createElement("figcaption"));
    return figure;
  };
  const said = (text, kind = "note") => {
    const note = document.createElement("div");
    note.className = `said said-${kind}`;
    note.setAttribute("role", kind === "problem" ? "alert" : "note");
    note.textContent = text;
    return note;
  };
  ours.said = said;
  Shiny.outputBindings.register(new Pictures(), "underlie.pictures");

  // Banks of sliders: one input for all, the slider that moved last.
  const written = (row, value) => (row.querySelector("output").textContent = Number(value).toFixed(2));
  document.addEventListener("input", (event) => {
    const slider = event.target;
    const bank = slider.closest && slider.closest(".slider-bank");
    if (!bank || slider.type !== "range") return;
    written(slider.parentElement, slider.value);
    ours.sendLatest(bank.id, { index: Number(slider.dataset.index), value: Number(slider.value) });
  });
  Shiny.addCustomMessageHandler("underlie-sliders", ({ id, values }) => {
    const bank = document.getElementById(id);
    if (!bank) return;
    bank.querySelectorAll("input[type=range]").forEach((slider, i) => {
      if (slider === document.activeElement && slider.matches(":active")) return; // it is being dragged
      slider.value = values[i];
      written(slider.parentElement, values[i]);
    });
  });

  // The address names the model: its entry is closed by Escape, and by a click elsewhere.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.choice[open]").forEach((open) => {
      open.open = false;
      open.querySelector("summary").focus();
    });
  });
  document.addEventListener("click", (event) => {
    document.querySelectorAll("details.choice[open]").forEach((open) => {
      if (!open.contains(event.target)) open.open = false;
    });
  });

  // A server that was stopped is said in words, not by a grey page alone.
  $(document).on("shiny:disconnected", () => {
    const note = said("The connection has ended: underlie app was stopped, or this page was idle. Start it again, or reload.", "problem");
    document.querySelector("main").prepend(note);
  });
})();
