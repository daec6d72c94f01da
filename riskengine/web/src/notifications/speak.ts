// The browser's own notifications and a sound, and what keeps them from coming.

import { printableLines } from "../words/printable";

export type Means = "notification" | "sound";

let audio: AudioContext | null = null;

/** Why a means does not work here; empty where it does. */
export function obstacleOf(means: Means): string {
  if (means === "sound") {
    if (typeof AudioContext === "undefined") return "this browser makes no sounds";
    return audio !== null && audio.state !== "running" ? "this browser makes sounds after a click or a key on this page" : "";
  }
  if (typeof Notification === "undefined") return isSecureContext ? "this browser has no notifications" : "this browser notifies only pages of https or of this machine";
  if (Notification.permission === "denied") return "this browser forbids notifications of this page: allow them in its settings of the site";
  return Notification.permission === "default" ? "this browser has not allowed notifications yet: tick it again to be asked" : "";
}

/** Ask the browser for what a means needs; resolves when it has answered. */
export async function prepare(means: Means): Promise<void> {
  if (means === "notification" && typeof Notification !== "undefined" && Notification.permission === "default") await Notification.requestPermission();
  if (means === "sound") wakeAudio();
}

function wakeAudio(): void {
  if (typeof AudioContext === "undefined") return;
  audio ??= new AudioContext();
  if (audio.state !== "running") void audio.resume();
}

/** A browser lets a page sound after the user has touched it: then, if it is wanted. */
export function wakeWithTouch(wanted: () => boolean): void {
  for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => void (wanted() && wakeAudio()), { passive: true });
}

/** Show a notification; another of its kind replaces it. */
export function show(kind: string, title: string, body: string, onClick: () => void): void {
  if (obstacleOf("notification") !== "") return;
  try {
    const shown = new Notification(printableLines(title), { body: printableLines(body), tag: `riskengine ${kind}`, icon: "icon.svg" });
    shown.addEventListener("click", () => {
      focus();
      onClick();
      shown.close();
    });
  } catch {
    // a browser that notifies only from a service worker: the light and the list say it too
  }
}

/** Two short tones, lower for what is wrong. */
export function sound(isAlarm: boolean): void {
  wakeAudio();
  if (audio === null || audio.state !== "running") return;
  const tones: readonly [number, number][] = isAlarm ? [[440, 0], [330, 0.16]] : [[660, 0], [880, 0.12]];
  for (const [hertz, after] of tones) {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    const begin = audio.currentTime + after;
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0.0001, begin);
    volume.gain.exponentialRampToValueAtTime(0.2, begin + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, begin + 0.14);
    tone.connect(volume).connect(audio.destination);
    tone.start(begin);
    tone.stop(begin + 0.15);
  }
}
