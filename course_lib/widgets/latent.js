
// ---- LatentExplorer: what the decoder paints at each place of its latent plane ------------------------

const OKABE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]; // Okabe and Ito

const rules = {
  amount(seconds, speed) { // fractions add up, so that slow speeds are met as well
    this.owed = (this.owed ?? 0) + seconds * speed;
    const whole = Math.floor(this.owed);
    this.owed -= whole;
    return whole;
  },
  take(session, header, buffers) {
    [session.decoded, session.trail] = buffers.slice(0, 2).map(float32);
    if (header.fresh) [session.chosen, session.density, session.means] = buffers.slice(2, 5).map(float32);
  },
};

class LatentView extends Panel {
  constructor(session, el) {
    super(session, el, { step: 1, stepName: "one move", unit: "moves", choices: [] });
  }

  picture() {
    return this.plane.root;
  }

  build(left, charts) {
    const stage = document.createElement("div"), b = this.world.box;
    stage.className = "pan-stage pan-map";
    this.canvas = stage.appendChild(document.createElement("canvas"));
    this.context = this.canvas.getContext("2d");
    left.appendChild(stage);
    this.plane = new Plane(stage, { wide: 480, tall: 480, left: 0, right: 0, top: 0, bottom: 0, kind: "pan-latent" });
    this.plane.range([-b, b], [-b, b], { xs: [], ys: [] });
    this.ovals = [1, 2].map(() => svg("ellipse", { class: "pan-proposal" }, this.plane.plane));
    this.place = this.handle(this.plane.over, "z", "the place z in the latent plane", "M0 -8L8 0L0 8L-8 0Z");
    const legend = document.createElement("div");
    legend.className = "lex-legend pan-note-line";
    legend.innerHTML = `<span>bright: where encoded data lie</span><span>dashed: the guess, 1 and 2 standard deviations</span><span><i class="lex-k-start"></i>z, drag</span>`;
    left.appendChild(legend);
    const pair = charts.appendChild(document.createElement("div"));
    pair.className = "pan-pair";
    [this.paper, this.given] = ["decoded at z", "chosen picture"].map((name) => {
      const figure = pair.appendChild(document.createElement("figure")), canvas = figure.appendChild(document.createElement("canvas"));
      canvas.setAttribute("role", "img");
      figure.appendChild(document.createElement("figcaption")).textContent = name;
      return canvas;
    });
    this.meter = new Meter(charts, "Walk inside the 2-sigma oval");
    this.table = charts.appendChild(document.createElement("table"));
    this.table.className = "pan-table";
  }

  fit() {
    const ratio = (this.ratio = Math.min(3, devicePixelRatio || 1)), width = Math.round(this.canvas.clientWidth * ratio);
    if (!width || width === this.canvas.width) return false;
    this.canvas.width = this.canvas.height = width;
    return true;
  }

  // -- the hand

  drag(_name, event) {
    this.put(this.plane.at(event));
  }

  nudge(_name, dx, dy, fine) {
    const { z1, z2 } = this.session.settings, step = 0.02 * this.world.box * fine;
    this.put([z1 + dx * step, z2 + dy * step]);
  }

  put(z) {
    const b = this.world.box, [z1, z2] = z.map((v) => clamp(+v.toFixed(3), -b, b));
    this.session.set({ z1, z2 });
  }

  // -- what is to be seen

  draw(header, settings) {
    const { session, plane } = this;
    if (!session.density) return;
    this.drawMap();
    const unit = plane.x(1) - plane.x(0), asked = "z1" in session.wished;
    const [z1, z2] = asked ? [settings.z1, settings.z2] : header.z;
    this.ovals.forEach((oval, i) => {
      oval.setAttribute("cx", plane.x(header.mean[0]));
      oval.setAttribute("cy", plane.y(header.mean[1]));
      oval.setAttribute("rx", (i + 1) * header.std[0] * unit);
      oval.setAttribute("ry", (i + 1) * header.std[1] * unit);
    });
    this.place.setAttribute("transform", `translate(${plane.x(z1)},${plane.y(z2)})`);
    this.place.setAttribute("aria-valuenow", z1);
    this.place.setAttribute("aria-valuetext", `z ${short(z1)}, ${short(z2)}`);
    this.drawPicture(this.paper, session.decoded, `what the decoder paints at ${short(z1)}, ${short(z2)}`);
    const named = header.label === null ? "" : `, a ${header.label}`;
    this.drawPicture(this.given, session.chosen, `picture ${settings.example}${named}`);
    this.given.nextSibling.textContent = `picture ${settings.example}${named}`;
    const some = header.inside !== null, aim = this.world.two_sigma;
    this.meter.show(some ? header.inside : NaN, 0, [[aim, `${Math.round(100 * aim)} % if the guess were right`]], some ? `${Math.round(100 * header.inside)} % of ${many(Math.min(header.moves, 600))} places` : "press play", some && header.inside < 0.75 ? "pan-bad" : "");
    const rows = [["z", `(${short(z1)}, ${short(z2)})`], ["away from the guess", `${short(header.away)} sigma`],
      ["log p(z)", `${short(header.log_prior)} nats`], ["log p(x | z) of the chosen picture", `${short(header.log_likelihood)} nats`]];
    this.table.innerHTML = rows.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${value}</td></tr>`).join("");
    this.$(".lex-status").textContent = header.moves ? `${many(header.moves)} moves of HMC on the posterior of picture ${settings.example}` : "drag z, or press play";
  }

  drawMap() {
    const { context: g, session, plane } = this, { labels, grid } = this.world;
    if (!this.canvas.width) return;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.drawImage(this.ground(grid), 0, 0, this.canvas.width, this.canvas.height);
    g.setTransform(this.canvas.width / 480, 0, 0, this.canvas.width / 480, 0, 0);
    const { means, trail } = session, r = 1.6;
    for (let i = 0; i < means.length; i += 2) {
      const x = plane.x(means[i]), y = plane.y(means[i + 1]);
      if (labels && means.length <= 1000) {
        g.font = "600 11px system-ui, sans-serif";
        g.lineWidth = 2.5;
        g.strokeStyle = "rgba(255,255,255,.85)";
        g.strokeText(labels[i / 2], x - 3, y + 4);
        g.fillStyle = OKABE[labels[i / 2] % 6];
        g.fillText(labels[i / 2], x - 3, y + 4);
      } else {
        g.fillStyle = "#fff";
        g.fillRect(x - r, y - r, 2 * r, 2 * r);
      }
    }
    for (let i = 2; i < trail.length; i += 2) {
      g.beginPath();
      g.arc(plane.x(trail[i]), plane.y(trail[i + 1]), 2.6, 0, 6.2832);
      g.fillStyle = "#F0E442";
      g.fill();
      g.lineWidth = 0.8;
      g.strokeStyle = "#111";
      g.stroke();
    }
    session.drawn = (session.drawn ?? 0) + 1;
  }

  ground(n) {
    const { density } = this.session;
    if (this.base && this.painted === density) return this.base;
    const base = document.createElement("canvas"), table = bytes(this.model.get("colours"));
    base.width = base.height = n;
    const g = base.getContext("2d"), image = g.createImageData(n, n);
    const top = density.reduce((a, b) => Math.max(a, b), 0);
    for (let row = 0; row < n; row++)
      for (let column = 0; column < n; column++) {
        const v = Math.sqrt(density[(n - 1 - row) * n + column] / top), at = Math.min(255, Math.round(255 * v)) * 3;
        image.data.set([table[at], table[at + 1], table[at + 2], 255], (row * n + column) * 4);
      }
    g.putImageData(image, 0, 0);
    this.painted = density;
    return (this.base = base);
  }

  /** Ink is dark on white paper, in both themes. */
  drawPicture(canvas, values, words) {
    const [height, width] = this.world.shape;
    canvas.width = width;
    canvas.height = height;
    const g = canvas.getContext("2d"), image = g.createImageData(width, height);
    values.forEach((v, i) => {
      const grey = Math.round(255 * (1 - clamp(v, 0, 1)));
      image.data.set([grey, grey, grey, 255], 4 * i);
    });
    g.putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", words);
  }
}

export default () => mount(rules, LatentView);
