// P&L of the chosen node or dealer and its exposure below, on one time axis, live at the right edge.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isLive, link, useTable } from "../live/engine";
import { reasonOf } from "../live/http";
import { paintWith } from "../live/painting";
import { totalsOf } from "../live/place";
import { address, type Place } from "../settings/address";
import { prefer, preferences } from "../settings/preferences";
import { numberOf } from "../store/rows";
import type { Table } from "../store/table";
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
  if (address.value.moment !== null) return <section class="curve past" aria-label="Curve"><p class="quiet">The curve is of now alone.</p></section>;
  return <LiveCurve place={place} />;
}

function LiveCurve({ place }: { place: Place }): JSX.Element {
  const { curveDays: days, period, theme, signs } = preferences.value;
  const measure = days === 1 && period === "day" ? "day_pnl" : "total_pnl";
  const owners = useTable("dealer" in place ? { view: "dealers" } : { view: "nodes" });
  const owner = JSON.stringify(place);
  const hosts = { pnl: useRef<HTMLDivElement>(null), exposure: useRef<HTMLDivElement>(null) };
  const plots = useRef<Plot[]>([]);
  const [said, setSaid] = useState("");
  const [point, setPoint] = useState("");
  const [again, setAgain] = useState(0);

  useEffect(() => {
    if (hosts.pnl.current === null || hosts.exposure.current === null) return;
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
    const beginning = (): number | null => (measure === "day_pnl" ? numberOf(totalsOf(place, owners), "day_start_ts") : null);
    const dayStart = beginning();
    const since = dayStart === null ? null : dayStart + 1;
    Promise.all([measure, EXPOSURE].map((each) => readHistory(place, each, days, since, ended.signal)))
      .then(([pnl, exposure]) => {
        if (pnl === undefined || exposure === undefined) return;
        stop = follow(place, owners, [[pnl, measure, drawn[0]], [exposure, EXPOSURE, drawn[1]]], setSaid, () => {
          if (!isLive()) return;
          // Another engine has its own history; another day, or one that is known only now, begins elsewhere.
          if (link.connection.epoch !== epoch || (owners.synced && beginning() !== dayStart)) setAgain((times) => times + 1);
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
  }, [owner, owners, measure, days, again]);

  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const recolour = (): void => plots.current.forEach((plot) => plot.recolour());
    recolour();
    dark.addEventListener("change", recolour);
    return () => dark.removeEventListener("change", recolour);
  }, [theme, signs]);

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

/** Continue curves with the row of the place until the returned function is called. */
function follow(place: Place, owners: Table, curves: [Series, string, Plot][], say: (text: string) => void, look: () => void): () => void {
  for (const [series, , plot] of curves) plot.show(series);
  let last = 0;
  return paintWith(() => {
    look();
    const now = performance.now();
    const asOf = link.connection.asOf;
    if (now - last < EXTEND_EVERY_MS || !isLive() || !owners.synced || asOf === null) return;
    last = now;
    const row = totalsOf(place, owners);
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
