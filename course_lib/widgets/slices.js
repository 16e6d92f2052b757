
// ---- QuantileExplorer: uniform numbers on their way through a distribution function -------------------

const LIVES = 900; // ms that a number is seen on its way

const rules = {
  amount(seconds, speed) { // fractions add up, so that slow speeds are met as well
    this.owed = (this.owed ?? 0) + seconds * speed;
    const whole = Math.floor(this.owed);
    this.owed -= whole;
    return whole;
  },
  take(session, header, buffers) {
    const [u, y, counts] = buffers.slice(0, 3).map(float32), now = performance.now();
    session.counts = counts;
    const still = header.fresh ? [] : (session.ways ?? []).filter((way) => now - way.since < LIVES);
    const arrived = header.fresh ? [] : Array.from(u, (one, i) => ({ u: one, y: y[i], since: now }));
    session.ways = [...still, ...arrived].slice(-60);
    if (!buffers[3]) return;
    const curves = float32(buffers[3]), n = curves.length / 3;
    [session.x, session.p, session.h] = [0, 1, 2].map((i) => curves.subarray(i * n, (i + 1) * n));
    session.edges = float32(buffers[4]);
  },
};

class SliceView extends Panel {
  constructor(session, el) {
    super(session, el, {
      step: 1, stepName: "draw one number", unit: "draws",
      choices: [["density", "density p", session.model.get("view").densities]],
    });
  }

  picture() {
    return this.upper.root;
  }

  build(left, charts) {
    this.upper = new Plane(left, { wide: 480, tall: 270, bottom: 18, title: "u = h(y)", kind: "pan-slices" });
    this.bands = svg("path", { class: "pan-strip" }, this.upper.plane);
    this.rain = svg("path", { class: "pan-rain" }, this.upper.plane);
    this.curve = svg("path", { class: "pan-target pan-open" }, this.upper.plane);
    this.way = svg("path", { class: "pan-way" }, this.upper.plane);
    this.drops = svg("path", { class: "pan-drops" }, this.upper.plane);
    this.u = this.handle(this.upper.over, "u", "the uniform number u", "M0 -8L8 0L0 8L-8 0Z");
    this.nameU = svg("text", { class: "lex-name" }, this.upper.over, "u");
    this.lower = new Plane(left, { wide: 480, tall: 190, title: "p(y): strips of equal area, and the draws", xlabel: "y" });
    this.bars = svg("path", { class: "pan-bars pan-thin" }, this.lower.plane);
    this.strips = svg("path", { class: "pan-strip pan-strong" }, this.lower.plane);
    this.density = svg("path", { class: "pan-target pan-open" }, this.lower.plane);
    this.at = svg("path", { class: "pan-way" }, this.lower.plane);
    this.table = document.createElement("table");
    this.table.className = "pan-table";
    const words = document.createElement("p");
    words.className = "pan-words";
    words.textContent = "Steep curve, high density: many numbers land close together. Flat curve, low density: few numbers share much room.";
    charts.append(this.table, words);
  }

  fit() {
    return false; // nothing here is counted in pixels
  }

  drag(_name, event) {
    this.session.set({ u: +clamp(this.upper.at(event)[1], 0.001, 0.999).toFixed(3) });
  }

  nudge(_name, dx, dy, fine) {
    this.session.set({ u: +clamp(this.session.settings.u + 0.01 * (dx + dy) * fine, 0.001, 0.999).toFixed(4) });
  }

  draw(header, settings) {
    const { session, upper, lower } = this, { x, p, h, edges } = session;
    if (!x) return;
    const highest = p.reduce((a, b) => Math.max(a, b), 0);
    upper.range(header.interval, [0, 1], { xs: [], ys: [0, 0.25, 0.5, 0.75, 1] });
    lower.range(header.interval, [0, 1.25 * highest]);
    this.curve.setAttribute("d", line(Array.from(x, (v, i) => [upper.x(v), upper.y(h[i])])));
    this.density.setAttribute("d", line(Array.from(x, (v, i) => [lower.x(v), lower.y(p[i])])));
    this.drawSlices(edges, x, p);
    this.drawBars(header);
    const u = settings.u, { left, bottom } = upper.box, ux = left + 2, uy = upper.y(u);
    const yx = upper.x(header.y), known = Math.abs(header.settings.u - u) < 1e-9;
    this.u.setAttribute("transform", `translate(${ux},${uy})`);
    this.u.setAttribute("aria-valuenow", u);
    this.u.setAttribute("aria-valuetext", `u ${short(u, 3)}, y ${short(header.y)}`);
    this.nameU.setAttribute("x", ux + 13);
    this.nameU.setAttribute("y", uy - 6);
    this.way.setAttribute("d", known ? `M${ux} ${uy}H${yx}V${bottom}` : `M${ux} ${uy}H${yx}`);
    this.at.setAttribute("d", `M${yx} ${lower.box.top}V${lower.box.bottom}`);
    const rows = [["u", short(u, 3)], ["y = h⁻¹(u)", short(header.y, 3)], ["p(y) = du/dy", short(header.p, 3)],
      ["stretch dy/du", short(1 / header.p, 2)], ["draws", many(header.draws)]];
    this.table.innerHTML = rows.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${value}</td></tr>`).join("");
    this.$(".lex-status").textContent = `${many(header.draws)} draws`;
    this.drawRain();
  }

  drawSlices(edges, x, p) {
    const { upper, lower } = this, n = edges.length - 1, u = upper.box;
    const at = (v) => { // the density between two points of the table
      const i = clamp(((v - x[0]) / (x[x.length - 1] - x[0])) * (x.length - 1), 0, x.length - 1.001), low = Math.floor(i);
      return p[low] * (1 - i + low) + p[low + 1] * (i - low);
    };
    let bands = "", strips = "";
    for (let i = 0; i < n; i += 2) {
      const [a, b] = [edges[i], edges[i + 1]], inside = Array.from(x).filter((v) => v > a && v < b);
      bands += `M${u.left} ${upper.y(i / n)}H${upper.x(a)}V${upper.y(0)}H${upper.x(b)}V${upper.y((i + 1) / n)}H${u.left}Z`;
      strips += `M${lower.x(a)} ${lower.box.bottom}L${line([a, ...inside, b].map((v) => [lower.x(v), lower.y(at(v))])).slice(1)}V${lower.box.bottom}Z`;
    }
    this.bands.setAttribute("d", bands);
    this.strips.setAttribute("d", strips);
  }

  drawBars(header) {
    const { lower, session: { counts } } = this, [a, b] = header.interval, wide = (b - a) / counts.length;
    let d = "";
    counts.forEach((count, i) => {
      if (!count) return;
      const y = lower.y(count / (header.draws * wide));
      d += `M${lower.x(a + i * wide).toFixed(1)} ${lower.box.bottom}V${y.toFixed(1)}H${(lower.x(a + (i + 1) * wide) - 0.8).toFixed(1)}V${lower.box.bottom}Z`;
    });
    this.bars.setAttribute("d", d);
    this.lower.root.setAttribute("aria-label", `Density with strips of equal area, and a histogram of ${header.draws} draws`);
  }

  /** Numbers on their way: across to the curve, then down. Drawn whole where the reader wants no motion. */
  drawRain() {
    const { session, upper } = this, now = performance.now(), still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const { left, bottom } = upper.box;
    let lines = "", drops = "", alive = false;
    for (const way of session.ways ?? []) {
      const t = still ? 1 : (now - way.since) / LIVES;
      if (t >= 1 && !still) continue;
      alive = true;
      const x = upper.x(way.y), y = upper.y(way.u), across = x - left, down = bottom - y, far = t * (across + down);
      const at = far < across ? [left + far, y] : [x, y + far - across];
      lines += far < across ? `M${left} ${y}H${at[0]}` : `M${left} ${y}H${x}V${at[1]}`;
      drops += `M${at[0] - 3} ${at[1]}a3 3 0 1 0 6 0a3 3 0 1 0-6 0`;
    }
    this.rain.setAttribute("d", lines);
    this.drops.setAttribute("d", drops);
    if (alive && !still && !this.raf)
      this.raf = requestAnimationFrame(() => {
        this.raf = 0;
        if (this.root.isConnected) this.drawRain();
      });
  }
}

const explorer = () => mount(rules, SliceView);

export default explorer;
