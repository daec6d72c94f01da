// The name in a header, and the way from it to the manual: a mark that shows when one points at the header, and F1.

import type { IHeaderParams, IInnerHeaderComponent } from "ag-grid-community";
import { MANUAL_TAB, manualUrl, type Paragraph } from "../words/manual";

export type HeaderParams = { about?: Paragraph };

export class HeaderName implements IInnerHeaderComponent {
  private readonly gui = document.createElement("span");
  private readonly name = document.createElement("span");

  init({ displayName, about }: IHeaderParams & HeaderParams): void {
    this.gui.className = "header-name";
    this.name.textContent = displayName;
    this.gui.append(this.name);
    if (about === undefined) return;
    const link = document.createElement("a");
    link.className = "about";
    link.href = manualUrl(about);
    link.target = MANUAL_TAB;
    link.tabIndex = -1; // F1 on the header does the same
    link.textContent = "?";
    link.title = `${displayName} in the manual (F1)`;
    link.addEventListener("click", (event) => event.stopPropagation()); // a click on the header sorts
    this.gui.append(link);
  }

  getGui(): HTMLElement {
    return this.gui;
  }

  refresh({ displayName }: IHeaderParams): boolean {
    this.name.textContent = displayName;
    return true;
  }
}
