// P&L of the chosen node and its exposure below, on one time axis, live at the right edge.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isLive, link, nodes } from "../live/engine";
import { reasonOf } from "../live/http";
import { paintWith } from "../live/painting";
import type { Place } from "../settings/address";
import { prefer, preferences } from "../settings/preferences";
import { numberOf } from "../store/rows";
import { amountText, sizeText } from "../words/numbers";
import { momentText } from "../words/times";
import { readHistory } from "./history";
import { Plot } from "./plot";
import type { Series } from "./series";

const SPANS: readonly [number, string][] = [[1, "Today"], [7, "7 days"], [30, "30 days"], [365, "Year"]];
const EXTEND_EVERY_MS = 1_000;
const TRY_AGAIN_MS = 3_000;
const EXPOSURE = "net_exposure";

export function Curve({ place }: { place: Place }): JSX.Element {
  const { curveDays: days, period, theme, signs } = preferences.value;
  const measure = days === 1 && period === "day" ? "day_pnl" : "total_pnl";
  const node = "node" in place ? place.node : null;
  const hosts = { pnl: useRef<HTMLDivElement>(null), exposure: useRef<HTMLDivElement>(null) };
  const plots = useRef<Plot[]>([]);
  const [said, setSaid] = useState("");
  const [point, setPoint] = useState("");
  const [again, setAgain] = useState(0);

  useEffect(() => {
    if (node === null || hosts.pnl.current === null || hosts.exposure.current === null) return;
    const onPoint = (time: number | null, value: number | null): void =>
      setPoint(time === null ? "" : `${momentText(time * 1e6, link.engineNow())} ${amountText(value)}`);
    const drawn = [
      new Plot(hosts.pnl.current, { token: "accent-text", sync: "curve", shaded: true, onPoint }),
      new Plot(hosts.exposure.current, { token: "quiet", sync: "curve", shaded: false, onPoint: () => undefined }),
    ] as const;
    plots.current = [...drawn];
    const sizes = new ResizeObserver(() => plots.current.forEach((plot) => plot.fit()));
    sizes.observe(hosts.pnl.current);
    const ended = new AbortController();
    let stop = (): void => undefined;
    let retry: ReturnType<typeof setTimeout> | undefined;
    setSaid("reading\u2026");
    const epoch = link.connection.epoch;
    // The P&L of the day begins with the day: the close before it has that of the day before.
    const dayStart = measure === "day_pnl" ? numberOf(nodes.get(node), "day_start_ts") : null;
    const since = dayStart === null ? null : dayStart + 1;
    Promise.all([measure, EXPOSURE].map((each) => readHistory(node, each, days, since, ended.signal)))
      .then(([pnl, exposure]) => {
        if (pnl === undefined || exposure === undefined) return;
        stop = follow(node, [[pnl, measure, drawn[0]], [exposure, EXPOSURE, drawn[1]]], setSaid, () => {
          if (link.connection.epoch !== epoch && isLive()) setAgain((times) => times + 1); // another engine: its own history
        });
      })
      .catch((problem: unknown) => {
        if (ended.signal.aborted) return;
        setSaid(`not read: ${reasonOf(problem)}`);
        retry = setTimeout(() => setAgain((times) => times + 1), TRY_AGAIN_MS);
      });
    return () => {
      ended.abort();
      clearTimeout(retry);
      stop();
      sizes.disconnect();
      plots.current = [];
      for (const plot of drawn) plot.destroy();
    };
  }, [node, measure, days, again]);

  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const recolour = (): void => plots.current.forEach((plot) => plot.recolour());
    recolour();
    dark.addEventListener("change", recolour);
    return () => dark.removeEventListener("change", recolour);
  }, [theme, signs]);

  if (node === null) return <section class="curve" aria-label="History"><p class="quiet">Histories are kept of nodes, not of dealers.</p></section>;
  const name = measure === "day_pnl" ? "P&L of the trading day" : "Total P&L";
  return (
    <section class="curve" aria-label="History">
      <div class="tools">
        <h2>{name}</h2>
        <span class="quiet" title={point || said}>{point || said}</span>
        <span class="space" />
        <div role="group" aria-label="How far back" class="switch">
          {SPANS.map(([span, label]) => (
            <button key={span} type="button" aria-pressed={span === days} onClick={() => prefer({ curveDays: span })}>{label}</button>
          ))}
        </div>
      </div>
      <div class="plots">
        <div class="plot pnl" ref={hosts.pnl} role="img" aria-label={`${name}: ${said}`} />
        <div class="plot exposure" ref={hosts.exposure} role="img" aria-label="Net exposure" />
        <span class="axis-name">net exposure</span>
      </div>
    </section>
  );
}

/** Continue curves with the node's row until the returned function is called. */
function follow(node: string, curves: [Series, string, Plot][], say: (text: string) => void, look: () => void): () => void {
  for (const [series, , plot] of curves) plot.show(series);
  let last = 0;
  return paintWith(() => {
    look();
    const now = performance.now();
    const asOf = link.connection.asOf;
    if (now - last < EXTEND_EVERY_MS || !isLive() || !nodes.synced || asOf === null) return;
    last = now;
    const row = nodes.get(node);
    for (const [series, measure, plot] of curves) {
      series.extend(asOf / 1e6, numberOf(row, measure));
      plot.show(series);
    }
    const [series] = curves[0] ?? [];
    const fall = series?.fall;
    say(
      `now ${amountText(series?.last ?? null)}` +
        (fall == null ? "" : `, greatest fall ${sizeText(fall.amount)} from ${momentText(fall.from * 1e6, asOf)} to ${momentText(fall.to * 1e6, asOf)} (shaded)`),
    );
  });
}
