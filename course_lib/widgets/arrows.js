
// ---- ArrowExplorer: every estimate of a gradient is an arrow ------------------------------------------

const rules = {
  amount(seconds, speed) { // fractions add up, so that slow speeds are met as well
    this.owed = (this.owed ?? 0) + seconds * speed;
    const whole = Math.floor(this.owed);
    this.owed -= whole;
    return whole;
  },
  take(session, header, buffers) {
    session.arrows = float32(buffers[0]);
    if (header.fresh) session.contours = numbers(buffers[1], Uint16Array);
  },
};

class ArrowView extends Panel {
  constructor(session, el) {
    super(session, el, {
      step: 1, stepName: "one estimate more", unit: "estimates",
      choices: [["estimator", "estimator", session.model.get("view").estimators]],
    });
  }

  picture() {
    return this.plane.root;
  }

  build(left, charts) {
    const [a, b, c, d] = this.world.box;
    this.plane = new Plane(left, { wide: 480, tall: 480, left: 26, bottom: 22, kind: "pan-arrows" });
    this.plane.range([a, b], [c, d]);
    this.valley = svg("path", { class: "pan-contours" }, this.plane.plane);
    this.circles = [1, 2].map(() => svg("circle", { class: "pan-guess" }, this.plane.plane));
    this.each = svg("path", { class: "pan-each" }, this.plane.plane);
    this.exact = svg("path", { class: "pan-exact" }, this.plane.plane);
    this.mean = svg("path", { class: "pan-mean" }, this.plane.plane);
    this.guess = this.handle(this.plane.over, "mean", "the mean of the guess q", "M0 -8L8 0L0 8L-8 0Z");
    const legend = document.createElement("div");
    legend.className = "lex-legend pan-note-line";
    legend.innerHTML = `<span>thin: single estimates</span><span>thick: their mean</span><span>broad, grey: exact</span><span><i class="lex-k-start"></i>q, drag</span>`;
    left.appendChild(legend);
    this.meter = new Meter(charts, "Mean arrow, off by a share of the exact one");
    this.table = charts.appendChild(document.createElement("table"));
    this.table.className = "pan-table";
    const words = charts.appendChild(document.createElement("p"));
    words.className = "pan-words";
    words.textContent = "All four estimators point the right way on average. They differ in how long you have to wait for it.";
  }

  fit() {
    return false; // nothing here is counted in pixels
  }

  drag(_name, event) {
    this.put(this.plane.at(event));
  }

  nudge(_name, dx, dy, fine) {
    const { m1, m2 } = this.session.settings;
    this.put([m1 + 0.1 * dx * fine, m2 + 0.1 * dy * fine]);
  }

  put([x, y]) {
    const [a, b, c, d] = this.world.box;
    this.session.set({ m1: clamp(+x.toFixed(3), a, b), m2: clamp(+y.toFixed(3), c, d) });
  }

  draw(header, settings) {
    const { plane, session } = this;
    if (!session.contours) return;
    if (!this.valley.getAttribute("d")) this.valley.setAttribute("d", this.contours());
    const x = plane.x(settings.m1), y = plane.y(settings.m2), unit = plane.x(1) - plane.x(0);
    this.circles.forEach((circle, i) => {
      circle.setAttribute("cx", x);
      circle.setAttribute("cy", y);
      circle.setAttribute("r", (i + 1) * settings.scale * unit);
    });
    this.guess.setAttribute("transform", `translate(${x},${y})`);
    this.guess.setAttribute("aria-valuenow", settings.m1);
    this.guess.setAttribute("aria-valuetext", `mean ${short(settings.m1)}, ${short(settings.m2)}`);
    const exact = Math.hypot(...header.exact), long = 90 / Math.max(exact, 2); // px per nat of slope
    const tip = (g, head) => this.arrow(x, y, g[0] * long, -g[1] * long, head);
    let d = "";
    for (let i = 0; i < session.arrows.length; i += 2) d += tip([session.arrows[i], session.arrows[i + 1]], 4);
    this.each.setAttribute("d", d);
    this.exact.setAttribute("d", tip(header.exact, 10));
    this.mean.setAttribute("d", tip(header.mean, 10));
    const off = header.off / Math.max(exact, 1e-9);
    this.meter.show(off / 2, 0, [[0.05, "10 %"], [0.5, "100 %"]], `${short(100 * off, 0)} %`, off > 0.1 ? "pan-bad" : "");
    const rows = [["estimates", many(header.count)], ["draws of z for each", many(header.each)], ["noise, trace of covariance", short(header.noise)],
      ["length of the exact gradient", short(exact)], ["estimates for an error of 10 %", header.needed === null ? "–" : header.needed < 1e6 ? many(Math.max(1, header.needed)) : "a million or more"]];
    this.table.innerHTML = rows.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${value}</td></tr>`).join("");
    this.$(".lex-status").textContent = `${many(header.count)} estimates · mean off by ${short(header.off)}, with a standard error of ${short(header.error)}`;
  }

  /** A line with a head; one that is too long is drawn to where nobody sees its end. */
  arrow(x, y, dx, dy, head) {
    const size = Math.hypot(dx, dy), most = 1500;
    if (size < 0.5) return `M${x - 1} ${y}h2`;
    if (size > most) [dx, dy] = [(dx / size) * most, (dy / size) * most];
    const u = dx / Math.min(size, most), v = dy / Math.min(size, most), ex = x + dx, ey = y + dy, h = Math.min(head, size / 2);
    const f = (n) => n.toFixed(1);
    return `M${f(x)} ${f(y)}L${f(ex)} ${f(ey)}M${f(ex - h * (u - 0.5 * v))} ${f(ey - h * (v + 0.5 * u))}L${f(ex)} ${f(ey)}L${f(ex - h * (u + 0.5 * v))} ${f(ey - h * (v - 0.5 * u))}`;
  }

  contours() {
    const { contours } = this.session, [a, b, c, d] = this.world.box, { plane } = this, paths = [];
    let i = 0;
    for (const count of this.world.counts) {
      const points = [];
      for (let j = 0; j < count; j++, i += 2)
        points.push([plane.x(a + (contours[i] / 65535) * (b - a)), plane.y(c + (contours[i + 1] / 65535) * (d - c))]);
      paths.push(line(points));
    }
    return paths.join("");
  }
}

export default () => mount(rules, ArrowView);
