
// ---- RejectionExplorer: darts under an envelope -------------------------------------------------------

const SHOWN = 2500; // darts that stay on the picture
const GREEN = "#009E73", VERMILION = "#D55E00"; // Okabe and Ito

const rules = {
  amount: (seconds, speed) => Math.round(seconds * speed),
  take(session, header, buffers) {
    const parts = buffers.slice(0, 3).map(float32);
    const old = header.fresh || !session.darts ? [[], [], []] : session.darts;
    session.darts = parts.map((part, i) => [...old[i], ...part].slice(-SHOWN));
    session.fresh = parts[0].length; // the newest are drawn larger
    session.counts = float32(buffers[3]);
    if (!buffers[4]) return;
    const curves = float32(buffers[4]), n = curves.length / 2;
    session.p = curves.subarray(0, n);
    session.kq = curves.subarray(n);
  },
};

class DartView extends Panel {
  constructor(session, el) {
    const { targets, proposals } = session.model.get("view");
    super(session, el, {
      step: 100, stepName: "throw 100 darts", unit: "darts",
      choices: [["target", "target p", targets], ["proposal", "proposal q", proposals]],
      buttons: `<span class="lex-group">${button("tighten", "smallest k", "t")}</span>`,
      keys: { t: "tighten" },
    });
  }

  picture() {
    return this.board.root;
  }

  build(left, charts) {
    const stage = document.createElement("div");
    stage.className = "pan-stage";
    this.canvas = stage.appendChild(document.createElement("canvas"));
    this.context = this.canvas.getContext("2d");
    left.appendChild(stage);
    this.board = new Plane(stage, { wide: 480, tall: 300, xlabel: "x", kind: "pan-board" });
    const b = this.board, hatch = `pan-hatch-${Math.random().toString(36).slice(2)}`;
    const pattern = svg("pattern", { id: hatch, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("defs", {}, b.root));
    svg("rect", { width: 7, height: 7, class: "pan-over-ground" }, pattern);
    svg("rect", { width: 2.5, height: 7, class: "pan-over-line" }, pattern);
    this.exceeded = svg("path", { fill: `url(#${hatch})`, class: "pan-over" }, b.plane);
    this.target = svg("path", { class: "pan-target" }, b.plane);
    this.envelope = svg("path", { class: "pan-envelope" }, b.plane);
    this.nameP = svg("text", { class: "lex-name pan-name-p" }, b.over, "p̃");
    this.nameK = svg("text", { class: "lex-name pan-name-k" }, b.over, "k q");
    this.nameOver = svg("text", { class: "pan-name-over", "text-anchor": "middle" }, b.over, "envelope exceeded");
    this.top = this.handle(b.over, "top", "top of the envelope: left and right move its mean, up and down k", "M0 -8L8 0L0 8L-8 0Z");
    this.width = this.handle(b.over, "width", "width of the envelope", "M-10 0L-4 -6V-2H4V-6L10 0L4 6V2H-4V6Z");
    this.histogram = new Plane(left, { wide: 480, tall: 170, title: "accepted darts, and p", kind: "pan-histogram" });
    this.bars = svg("path", { class: "pan-bars" }, this.histogram.plane);
    this.wrong = svg("path", { class: "pan-wrong" }, this.histogram.plane);
    this.truth = svg("path", { class: "pan-truth" }, this.histogram.plane);
    this.acceptance = new Meter(charts, "Acceptance");
    this.table = document.createElement("table");
    this.table.className = "pan-table";
    this.warning = document.createElement("p");
    this.warning.className = "pan-warning";
    this.warning.setAttribute("role", "status");
    const legend = document.createElement("div");
    legend.className = "lex-legend";
    legend.innerHTML = `<span><i class="pan-k-yes"></i>accepted</span><span><b class="pan-k-no">×</b>rejected</span><span><i class="pan-k-over"></i>p̃ above k q</span><span><i class="lex-k-start"></i>drag</span>`;
    charts.append(this.table, this.warning, legend);
  }

  fit() {
    const ratio = Math.min(3, devicePixelRatio || 1), width = Math.round(this.canvas.clientWidth * ratio);
    if (!width || width === this.canvas.width) return false;
    this.canvas.width = width;
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    return true;
  }

  // -- the hand

  drag(name, event) {
    const [x, y] = this.board.at(event), { settings } = this.session, limit = this.limits();
    if (name === "width") return this.put({ scale: Math.abs(x - settings.mean) }, limit);
    const peak = this.peak(settings); // of q itself
    this.put({ mean: x, k: clamp(y, this.board.y1 * 0.01, this.board.y1) / peak }, limit);
  }

  nudge(name, dx, dy, fine) {
    const { mean, scale, k } = this.session.settings, limit = this.limits();
    if (name === "width") return this.put({ scale: scale * 1.05 ** ((dx + dy) * fine) }, limit);
    this.put(dx ? { mean: mean + 0.1 * dx * fine } : { k: k * 1.05 ** (dy * fine) }, limit);
  }

  limits() {
    return Object.fromEntries(this.world.sliders.map((s) => [s.name, s]));
  }

  put(values, limit) {
    const rounded = Object.entries(values).map(([name, v]) => [name, clamp(+v.toPrecision(3), limit[name].low, limit[name].high)]);
    this.session.set(Object.fromEntries(rounded));
  }

  /** Height of q at its mean, read off the envelope that the kernel sent. */
  peak(settings) {
    const { k, scale } = this.session.header.settings;
    return ((this.session.top / k) * scale) / settings.scale;
  }

  // -- what is to be seen

  draw(header, settings) {
    const { session, board, world: { box } } = this, { p, kq } = session;
    if (!p) return;
    const x = (i) => box[0] + (i / (p.length - 1)) * (box[1] - box[0]);
    session.top = kq.reduce((a, b) => Math.max(a, b), 0);
    if (!this.grip) this.high = 1.15 * Math.max(session.top, p.reduce((a, b) => Math.max(a, b), 0));
    board.range(box, [0, this.high]);
    const curve = (values) => Array.from(values, (v, i) => [board.x(x(i)), board.y(v)]);
    const P = curve(p), K = curve(kq);
    this.target.setAttribute("d", `${line(P)}L${P[P.length - 1][0]} ${board.box.bottom}L${P[0][0]} ${board.box.bottom}Z`);
    this.envelope.setAttribute("d", line(K));
    this.drawExceeded(p, kq, P, K);
    this.drawHandles(settings);
    this.place(this.nameP, P, p, 0.3, [0, -8]);
    this.drawDarts();
    this.drawHistogram(header, x);
    this.drawFacts(header, settings);
  }

  drawExceeded(p, kq, P, K) {
    let d = "", widest = [0, 0], from = -1;
    for (let i = 0; i <= p.length; i++) {
      const over = i < p.length && p[i] > kq[i] * 1.00001;
      if (over && from < 0) from = i;
      if (over || from < 0) continue;
      d += `${line(P.slice(from, i))}L${line(K.slice(from, i).reverse()).slice(1)}Z`;
      if (i - from > widest[1] - widest[0]) widest = [from, i];
      from = -1;
    }
    this.exceeded.setAttribute("d", d);
    this.nameOver.style.display = d ? "" : "none";
    if (!d) return;
    const middle = (widest[0] + widest[1]) >> 1, highest = Math.min(...P.slice(...widest).map(([, y]) => y));
    this.nameOver.setAttribute("x", clamp(P[middle][0], 100, 400));
    this.nameOver.setAttribute("y", Math.max(14, highest - 6));
  }

  drawHandles(settings) {
    const { board } = this, height = Math.min(this.peak(settings) * settings.k, this.high);
    const at = [board.x(clamp(settings.mean, board.x0, board.x1)), board.y(height)];
    const side = settings.mean + settings.scale <= board.x1 ? 1 : -1;
    const wide = [board.x(clamp(settings.mean + side * settings.scale, board.x0, board.x1)), board.y(height * 0.607)];
    this.top.setAttribute("transform", `translate(${at})`);
    this.width.setAttribute("transform", `translate(${wide})`);
    this.top.setAttribute("aria-valuenow", settings.mean);
    this.top.setAttribute("aria-valuetext", `mean ${short(settings.mean)}, k ${short(settings.k)}`);
    this.width.setAttribute("aria-valuenow", settings.scale);
    this.width.setAttribute("aria-valuetext", `width ${short(settings.scale)}`);
    this.nameK.setAttribute("x", at[0] + 14);
    this.nameK.setAttribute("y", Math.max(18, at[1] - 4));
  }

  place(node, points, values) { // beside the highest point of a curve
    const best = values.reduce((top, v, i) => (v > values[top] ? i : top), 0);
    node.setAttribute("x", points[best][0] - 4);
    node.setAttribute("y", Math.max(16, points[best][1] + 18));
  }

  drawDarts() {
    const { context: g, board, session } = this, view = board.root.viewBox.baseVal, scale = this.canvas.width / view.width;
    if (!this.canvas.width) return;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    g.setTransform(scale, 0, 0, scale, 0, 0);
    const [xs, heights, hits] = session.darts, n = xs.length, first = n - session.fresh, [a, b] = this.world.box;
    const envelope = (x) => { // k q at x, from the curve that is drawn
      const at = ((x - a) / (b - a)) * (session.kq.length - 1), i = Math.floor(at), t = at - i;
      return session.kq[i] * (1 - t) + session.kq[Math.min(i + 1, session.kq.length - 1)] * t;
    };
    const dense = n > 800 ? 0.55 : 0.8;
    for (const fresh of [false, true]) {
      const yes = new Path2D(), no = new Path2D(), r = fresh && session.playing ? 3 : n > 800 ? 1.7 : 2.2;
      for (let i = fresh ? Math.max(0, first) : 0; i < (fresh ? n : first); i++) {
        if (!(xs[i] > a && xs[i] < b)) continue;
        const x = board.x(xs[i]), y = board.y(heights[i] * envelope(xs[i]));
        if (hits[i]) {
          yes.moveTo(x + r, y);
          yes.arc(x, y, r, 0, 6.2832);
        } else {
          no.moveTo(x - r, y - r);
          no.lineTo(x + r, y + r);
          no.moveTo(x - r, y + r);
          no.lineTo(x + r, y - r);
        }
      }
      g.globalAlpha = fresh ? Math.max(dense, 0.8) : dense;
      g.fillStyle = GREEN;
      g.fill(yes);
      g.strokeStyle = VERMILION;
      g.lineWidth = 1.1;
      g.stroke(no);
    }
    g.globalAlpha = 1;
    session.drawn = (session.drawn ?? 0) + 1;
  }

  drawHistogram(header, x) {
    const { histogram, session, world: { box } } = this, { p, kq, counts } = session;
    const z = header.z, wide = (box[1] - box[0]) / counts.length, highest = Math.max(...p) / z;
    const kept = z * (1 - header.lost), smaller = Array.from(p, (v, i) => Math.min(v, kq[i]) / kept);
    const over = header.lost > 1e-4, top = Math.max(highest, over ? Math.max(...smaller) : 0);
    histogram.range(box, [0, 1.3 * top], { ys: ticks(0, 1.3 * top, 3) });
    const h = histogram, width = h.x(box[0] + wide) - h.x(box[0]);
    let d = "";
    counts.forEach((count, i) => {
      if (!count) return;
      const y = h.y(count / (header.hits * wide));
      d += `M${(h.x(box[0] + i * wide) + 0.5).toFixed(1)} ${h.box.bottom}V${y.toFixed(1)}h${(width - 1).toFixed(1)}V${h.box.bottom}Z`;
    });
    this.bars.setAttribute("d", d);
    this.truth.setAttribute("d", line(Array.from(p, (v, i) => [h.x(x(i)), h.y(v / z)])));
    this.wrong.setAttribute("d", over ? line(smaller.map((v, i) => [h.x(x(i)), h.y(v)])) : "");
    h.reading.textContent = over ? "– –  what these darts follow" : "";
    h.root.setAttribute("aria-label", `Histogram of ${header.hits} accepted darts against the target density`);
  }

  drawFacts(header, settings) {
    const { thrown, hits, expected, z, lost } = header, share = hits / thrown;
    const error = Math.sqrt((share * (1 - share)) / thrown), over = lost > 1e-7;
    this.acceptance.show(share, 2 * error, [[expected, `${over ? "expected here" : "Z / k"} = ${short(expected, 3)}`]],
      thrown ? `${short(share, 3)} ± ${short(error, 3)}` : "no dart yet", over ? "pan-bad" : "");
    const k = this.session.header.settings.k;
    const rows = [["darts thrown", many(thrown)], ["accepted", many(hits)],
      ["Z from the darts, k × acceptance", thrown ? `${short(k * share, 3)} ± ${short(k * error, 3)}` : "–"],
      ["Z, the area under p̃", short(z, 3)]];
    this.table.innerHTML = rows.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${value}</td></tr>`).join("");
    const words = over ? `The envelope is exceeded. ${lost >= 5e-4 ? `${(100 * lost).toFixed(1)} %` : "A little"} of the target lies above k q and is never drawn: the darts follow the lower of the two curves, and Z comes out too small. The library's rejection refuses here.` : "";
    if (this.warning.textContent !== words) this.warning.textContent = words;
    this.$(".lex-status").textContent = `${many(thrown)} darts · ${many(hits)} accepted · ${short(thrown / Math.max(hits, 1), 1)} darts for each draw`;
  }
}

const explorer = () => mount(rules, DartView);

export default explorer;
