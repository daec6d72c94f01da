// The start: the link to the engine at once, and who looks; the page, which is most of the script, comes meanwhile.

import { connect, session, whoAmI } from "./live/engine";
import { followBrowser } from "./settings/address";
import { keepFor } from "./settings/preferences";
import "./style.css";

const ANYBODY = "local";

async function begin(): Promise<void> {
  followBrowser();
  connect();
  const page = import("./page");
  session.value = await whoAmI().catch(() => null);
  keepFor(session.value?.name ?? ANYBODY);
  (await page).drawPage();
}

void begin();
