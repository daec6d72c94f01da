// Drawing with uPlot: one measure over time, its greatest fall shaded, in the colours of the theme.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { amountText } from "../words/numbers";
import type { Series } from "./series";

const locale = navigator.language;
const hours = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dates = new Intl.DateTimeFormat(locale, { month: "2-digit", day: "2-digit" });
const AXIS_WIDTH = 76;
const DAY_S = 86_400;



/** A token as a colour that a canvas takes: light-dark() is resolved by an element. */
function resolved(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export class Plot {
  private readonly chart: uPlot;
  private series: Series | null = null;
  private colours = new Map<string, string>();

  constructor(
    private readonly host: HTMLElement,
    private readonly style: { token: string; sync: string; shaded: boolean; onPoint: (time: number | null, value: number | null) => void },
  ) {
    this.chart = new uPlot(
      {
        width: Math.max(host.clientWidth, 120),
        height: Math.max(host.clientHeight, 60),
        legend: { show: false },
        cursor: { sync: { key: style.sync }, y: false, points: { size: 6 } },
        scales: { x: { time: true } },
        series: [{}, { stroke: () => this.colour(style.token), width: 1.5, points: { show: false }, spanGaps: false }],
        axes: [
          { stroke: () => this.colour("quiet"), grid: { stroke: () => this.colour("line"), width: 1 }, ticks: { show: false }, size: 24, font: "11px system-ui, sans-serif",
            values: (chart, marks) => marks.map((mark) => (wide(chart) ? dates : hours).format(mark * 1000)) },
          { stroke: () => this.colour("quiet"), grid: { stroke: () => this.colour("line"), width: 1 }, ticks: { show: false }, size: AXIS_WIDTH, font: "11px system-ui, sans-serif",
            values: (_, marks) => marks.map((mark) => amountText(mark, marks.some((each) => Math.abs(each) >= 100_000))) },
        ],
        hooks: {
          drawClear: [(chart) => this.shade(chart)],
          setCursor: [
            (chart) => {
              const at = chart.cursor.idx;
              style.onPoint(at == null ? null : (this.series?.times[at] ?? null), at == null ? null : (this.series?.values[at] ?? null));
            },
          ],
        },
      },
      [[], []],
      host,
    );
  }

  show(series: Series): void {
    this.series = series;
    this.chart.setData([series.times, series.values]);
  }

  fit(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (width > 0 && height > 0 && (width !== this.chart.width || height !== this.chart.height)) this.chart.setSize({ width, height });
  }

  /** The theme is another one. */
  recolour(): void {
    this.colours.clear();
    this.chart.redraw(false, true);
  }

  destroy(): void {
    this.chart.destroy();
  }

  private colour(name: string): string {
    let found = this.colours.get(name);
    if (found === undefined) {
      found = resolved(name);
      this.colours.set(name, found);
    }
    return found;
  }

  private shade(chart: uPlot): void {
    const fall = this.series?.fall;
    if (fall == null || !this.style.shaded) return;
    const [left, right] = [chart.valToPos(fall.from, "x", true), chart.valToPos(fall.to, "x", true)];
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.globalAlpha = 0.13;
    ctx.fillStyle = this.colour("down");
    ctx.fillRect(Math.max(left, bbox.left), bbox.top, Math.max(1, Math.min(right, bbox.left + bbox.width) - Math.max(left, bbox.left)), bbox.height);
    ctx.restore();
  }
}

function wide(chart: uPlot): boolean {
  const { min, max } = chart.scales["x"] ?? {};
  return min != null && max != null && max - min > 2 * DAY_S;
}
