// The page: who looks, the link to the engine, and the frame with its views.

import { render } from "preact";
import { Frame } from "./frame/frame";
import { connect, session, whoAmI } from "./live/engine";
import { followBrowser } from "./settings/address";
import { keepFor } from "./settings/preferences";
import "./style.css";
import { VIEWS } from "./views";

const ANYBODY = "local";

async function begin(): Promise<void> {
  followBrowser();
  connect();
  session.value = await whoAmI().catch(() => null);
  keepFor(session.value?.name ?? ANYBODY);
  const page = document.getElementById("page");
  if (page !== null) render(<Frame views={VIEWS} />, page);
}

void begin();
