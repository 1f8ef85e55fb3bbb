// The latent plane: points by plotly.js, above them a cursor of our own, so that a drag redraws nothing but the cursor.
// What is sent and received is described in latent_map.py.
(() => {
  "use strict";
  const NEAR = 9; // pixels within which a click means the point, and not the place
  const STEP = 0.02; // of an axis, by one arrow key; five times that with shift
  const INK = "#33383e";

  const plotly = new Promise((resolve) => {
    if (window.Plotly) resolve();
    else window.addEventListener("load", () => resolve());
  });

  class LatentMap extends Shiny.OutputBinding {
    find(scope) {
      return $(scope).find(".latent-map");
    }
    async renderValue(el, figure) {
      this.clearError(el);
      if (!figure) return;
      if (figure.said) return el.prepend(window.underlie.said(figure.said, figure.kind));
      await plotly;
      el.figure = figure;
      if (!el.map) el.map = new Map_(el);
      el.map.draw(figure);
    }
    renderError(el, error) {
      this.clearError(el);
      el.prepend(window.underlie.said(error.message, "problem"));
    }
    clearError(el) {
      el.querySelectorAll(":scope > .said").forEach((old) => old.remove());
    }
    resize(el) {
      if (el.map) Plotly.Plots.resize(el.map.plot);
    }
    showProgress() {}
  }

  class Map_ {
    constructor(el) {
      this.el = el;
      this.plot = el.querySelector(".map-plot");
      this.tool = el.dataset.tool;
      this.cursor = null;
      this.wired = false;
      el.addEventListener("change", (event) => {
        if (event.target.type === "radio") this.choose(event.target.value);
      });
    }

    async draw(figure) {
      this.axes = figure.axes;
      const several = figure.groups.length > 1;
      const traces = figure.groups.map((group) => trace(group, figure.legend, several));
      await Plotly.react(this.plot, traces, layout(figure, several, this.dragmode()), {
        displayModeBar: false,
        responsive: true,
        doubleClick: "reset",
      });
      if (!this.wired) this.wire();
      if (figure.cursor) this.put(...figure.cursor);
      else this.hide();
    }

    dragmode() {
      return this.tool === "cursor" ? false : this.tool;
    }

    choose(tool) {
      this.tool = tool;
      this.el.dataset.tool = tool;
      Plotly.relayout(this.plot, { dragmode: this.dragmode() });
    }

    // Shared among all tools: a layer over the points for the cursor, and a text beside the pointer.
    wire() {
      this.wired = true;
      this.layer = append(this.plot, "div", "map-layer");
      this.mark = append(this.layer, "button", "map-cursor");
      this.mark.type = "button";
      this.tip = append(this.plot, "div", "map-tip");
      this.plot.on("plotly_relayout", () => this.replace());
      this.plot.on("plotly_afterplot", () => this.replace());
      this.plot.on("plotly_selected", (chosen) => this.select(chosen));
      this.plot.on("plotly_deselect", () => this.select(null));
      this.layer.addEventListener("pointerdown", (event) => this.press(event));
      this.layer.addEventListener("pointermove", (event) => this.move(event));
      this.layer.addEventListener("pointerup", (event) => this.lift(event));
      this.layer.addEventListener("pointercancel", () => (this.held = null));
      this.layer.addEventListener("pointerleave", () => this.say(null));
      this.mark.addEventListener("keydown", (event) => this.key(event));
      this.replace();
    }

    // ---- places: pixels of the layer and units of the axes ----
    get x() {
      return this.plot._fullLayout.xaxis;
    }
    get y() {
      return this.plot._fullLayout.yaxis;
    }
    pixels(event) {
      const box = this.layer.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    }
    replace() {
      if (!this.layer || !this.plot._fullLayout) return;
      // The place of the axes, which where units are equal is not all that the margins leave.
      const place = { left: this.x._offset, top: this.y._offset, width: this.x._length, height: this.y._length };
      Object.assign(this.layer.style, px(place));
      if (this.cursor) this.place(...this.cursor);
    }

    // ---- the cursor ----
    put(x, y) {
      this.cursor = [x, y];
      this.place(x, y);
    }
    place(x, y) {
      if (!this.mark) return;
      this.mark.hidden = false;
      Object.assign(this.mark.style, px({ left: this.x.c2p(x), top: this.y.c2p(y) }));
      this.mark.setAttribute(
        "aria-label",
        `Cursor at ${this.axes[0]} ${x.toFixed(2)}, ${this.axes[1]} ${y.toFixed(2)}; arrow keys move it, Enter takes the nearest row`
      );
    }
    hide() {
      this.cursor = null;
      if (this.mark) this.mark.hidden = true;
    }
    go(x, y, done) {
      this.put(clamp(x, this.x.range), clamp(y, this.y.range));
      window.underlie.sendLatest(this.el.id + "_at", { x: this.cursor[0], y: this.cursor[1], done });
    }

    press(event) {
      if (event.button) return;
      event.preventDefault();
      this.layer.setPointerCapture(event.pointerId);
      this.mark.focus({ preventScroll: true });
      this.held = this.pixels(event);
      this.dragged = false;
    }
    move(event) {
      const [px_, py] = this.pixels(event);
      if (!this.held) return this.say(this.nearest(px_, py), px_, py);
      if (!this.dragged && Math.hypot(px_ - this.held[0], py - this.held[1]) < 4) return;
      this.dragged = true;
      this.say(null);
      if (this.cursor) this.go(this.x.p2c(px_), this.y.p2c(py), false);
    }
    lift(event) {
      if (!this.held) return;
      const [px_, py] = this.pixels(event);
      const point = this.dragged ? null : this.nearest(px_, py);
      this.held = null;
      if (point) this.take(point);
      else if (this.cursor) this.go(this.x.p2c(px_), this.y.p2c(py), true);
    }
    take(point) {
      if (this.cursor) this.put(point.x, point.y);
      window.underlie.sendLatest(this.el.id + "_point", point.row);
    }
    key(event) {
      const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] || [0, 0];
      if (dx || dy) {
        event.preventDefault();
        const share = event.shiftKey ? 5 * STEP : STEP;
        const length = (axis) => (axis.range[1] - axis.range[0]) * share;
        this.go(this.cursor[0] + dx * length(this.x), this.cursor[1] + dy * length(this.y), true);
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        const point = this.nearest(this.x.c2p(this.cursor[0]), this.y.c2p(this.cursor[1]), Infinity);
        if (point) this.take(point);
      }
    }

    // ---- points ----
    nearest(px_, py, within = NEAR) {
      let best = null;
      let least = within * within;
      for (const drawn of this.plot.data) {
        if (drawn.visible === "legendonly") continue;
        for (let i = 0; i < drawn.x.length; i++) {
          const away = (this.x.c2p(drawn.x[i]) - px_) ** 2 + (this.y.c2p(drawn.y[i]) - py) ** 2;
          if (away < least) {
            least = away;
            best = { x: drawn.x[i], y: drawn.y[i], row: drawn.customdata[i], text: drawn.text[i] };
          }
        }
      }
      return best;
    }
    say(point, px_, py) {
      this.tip.hidden = !point;
      if (!point) return;
      this.tip.textContent = point.text;
      const size = this.plot._fullLayout._size;
      const left = px_ > size.w / 2;
      Object.assign(this.tip.style, px({ left: size.l + px_ + (left ? -12 : 12), top: size.t + py + 12 }));
      this.tip.style.transform = left ? "translateX(-100%)" : "";
    }
    select(chosen) {
      const rows = chosen && chosen.points ? chosen.points.map((point) => point.customdata) : [];
      Shiny.setInputValue(this.el.id + "_rows", rows, { priority: "event" });
    }
  }

  const trace = (group, legend, several) => ({
    type: "scatter",
    mode: "markers",
    name: group.name,
    x: group.x,
    y: group.y,
    customdata: group.rows,
    text: group.hover || group.rows.map((row, i) => {
      const value = group.scale ? group.scale[i] : several ? group.name : null;
      return `row ${row + 1}` + (value === null ? "" : `, ${legend} ${value}`);
    }),
    hoverinfo: "none",
    marker: {
      size: 6,
      opacity: 0.7,
      symbol: group.symbol,
      line: { width: 0 },
      ...(group.scale
        ? { color: group.scale, colorscale: "Viridis", showscale: true, colorbar: { title: { text: legend }, thickness: 14, outlinewidth: 0 } }
        : { color: group.color }),
    },
    selected: { marker: { opacity: 0.95 } },
    unselected: { marker: { opacity: 0.12 } },
    showlegend: several && !group.scale,
  });

  const layout = (figure, several, dragmode) => {
    const limits = figure.limits || [null, null];
    const axis = (title, range) => ({
      ...(range ? { range } : {}),
      title: { text: title, standoff: 6 },
      zeroline: false,
      gridcolor: "#eceef0",
      linecolor: "#9aa1a8",
      showline: true,
      ticks: "outside",
      tickcolor: "#9aa1a8",
      automargin: true,
    });
    const narrow = window.innerWidth < 600;
    return {
      dragmode,
      hovermode: "closest",
      uirevision: figure.axes.join("|"), // zoom and hidden groups stay while the axes do
      font: { family: "inherit", size: 13, color: INK },
      margin: { l: 44, r: 8, t: 8, b: 40 },
      height: narrow ? 380 : 480,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      xaxis: axis(figure.axes[0], limits[0]),
      yaxis: { ...axis(figure.axes[1], limits[1]), ...(figure.equal ? { scaleanchor: "x", constrain: "domain" } : {}) },
      legend: {
        title: { text: figure.legend },
        itemsizing: "constant",
        ...(narrow ? { orientation: "h", y: -0.16, yanchor: "top" } : { y: 1, x: 1.01 }),
      },
      showlegend: several,
    };
  };

  const append = (parent, tag, name) => {
    const child = document.createElement(tag);
    child.className = name;
    child.hidden = tag !== "div" || name === "map-tip";
    return parent.appendChild(child);
  };
  const px = (sizes) => Object.fromEntries(Object.entries(sizes).map(([name, value]) => [name, `${value}px`]));
  const clamp = (value, range) => Math.min(Math.max(value, Math.min(...range)), Math.max(...range));

  Shiny.outputBindings.register(new LatentMap(), "underlie.map");
  Shiny.addCustomMessageHandler("underlie-cursor", ({ id, x, y }) => {
    const el = document.getElementById(id);
    if (el && el.map && el.map.cursor) el.map.put(x, y);
  });
})();
