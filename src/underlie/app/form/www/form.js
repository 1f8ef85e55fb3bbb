// Forms: one input for all fields, sent as it is typed. What is sent is described in form/inputs.py.
(() => {
  "use strict";
  const fields = (form) => [...form.querySelectorAll("[data-key]")];
  const value = (field) => (field.validity.badInput ? "?" : field.value);
  const send = (form) => {
    const values = Object.fromEntries(fields(form).map((field) => [field.dataset.key, value(field)]));
    window.underlie.sendLatest(form.id, values);
  };
  const mark = (field) => field.toggleAttribute("data-empty", field.value === "" && !field.validity.badInput);

  document.addEventListener("input", (event) => {
    const form = event.target.closest && event.target.closest(".form-bank");
    if (!form || !event.target.dataset.key) return;
    mark(event.target);
    send(form);
  });
  // A form is emptied here and at once: what is typed next is not lost while the server is asked.
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("[data-empties]");
    const form = button && document.getElementById(button.dataset.empties);
    if (form) fill(form, {});
  });
  // A search shows the fields whose names contain what was typed.
  document.addEventListener("input", (event) => {
    const form = event.target.dataset.searches && document.getElementById(event.target.dataset.searches);
    if (!form) return;
    const wanted = event.target.value.trim().toLowerCase();
    form.querySelectorAll(".field").forEach((field) => {
      field.hidden = !field.querySelector("label").textContent.toLowerCase().includes(wanted);
    });
  });
  // A wheel over a focused number would change it by accident while the page is scrolled.
  document.addEventListener(
    "wheel",
    (event) => {
      if (event.target.type === "number" && event.target === document.activeElement && event.target.dataset.key)
        event.target.blur();
    },
    { passive: true },
  );
  const fill = (form, values) => {
    fields(form).forEach((field) => {
      field.value = values[field.dataset.key] ?? "";
      mark(field);
    });
    send(form);
  };
  Shiny.addCustomMessageHandler("underlie-form", ({ id, values }) => {
    const form = document.getElementById(id);
    if (form) fill(form, values);
  });

  // The page as it was downloaded, for the browser's own printing.
  Shiny.addCustomMessageHandler("underlie-print", ({ html }) => {
    document.querySelectorAll("iframe.to-print").forEach((old) => old.remove());
    const frame = document.createElement("iframe");
    frame.className = "to-print";
    frame.title = "page to print";
    frame.srcdoc = html;
    frame.onload = () => frame.contentWindow.print();
    document.body.append(frame);
  });
})();
