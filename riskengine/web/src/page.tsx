// The frame with its views, drawn: everything of the page but the link, which is made before this is here.

import { render } from "preact";
import { Frame } from "./frame/frame";
import { followMoments } from "./live/moment";
import { VIEWS } from "./views";

export function drawPage(): void {
  followMoments();
  const page = document.getElementById("page");
  if (page !== null) render(<Frame views={VIEWS} />, page);
}
