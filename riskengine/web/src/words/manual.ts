// Where the manual says more: it is served beside the page, and opens in one tab of its own.

/** A page of the manual and the anchor of a paragraph, a heading or a name in it: `accounting#the-day`. */
export type Paragraph = `${string}#${string}`;

export const MANUAL_TAB = "riskengine-manual";

export const manualUrl = (paragraph: Paragraph): string => `manual/${paragraph}`;

export function openManual(paragraph: Paragraph): void {
  open(manualUrl(paragraph), MANUAL_TAB);
}

/** What a warning of a kind means and what to do. */
export const warningParagraph = (kind: string): Paragraph => (kind === "degraded" ? "operations#health" : `operations#warnings.${kind}`);

export const LIGHTS: Paragraph = "screens#the-lights";
export const TICKET: Paragraph = "screens#the-ticket";
export const NOTIFICATIONS: Paragraph = "screens#notifications";
export const GREY: Paragraph = "screens#grey-dashes-and-marks";
