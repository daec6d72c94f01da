// The parts of AG Grid Community that the grids use, and its look: our tokens, in both themes.

import {
  CellApiModule,
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  ColumnApiModule,
  EventApiModule,
  HighlightChangesModule,
  ModuleRegistry,
  PinnedRowModule,
  RenderApiModule,
  RowApiModule,
  RowStyleModule,
  ScrollApiModule,
  themeQuartz,
  TooltipModule,
} from "ag-grid-community";

ModuleRegistry.registerModules([
  CellApiModule,
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  ColumnApiModule,
  EventApiModule,
  HighlightChangesModule,
  PinnedRowModule,
  RenderApiModule,
  RowApiModule,
  RowStyleModule,
  ScrollApiModule,
  TooltipModule,
]);

export const gridTheme = themeQuartz.withParams({
  accentColor: "var(--accent-text)",
  backgroundColor: "var(--surface)",
  foregroundColor: "var(--text)",
  borderColor: "var(--line)",
  borderRadius: 0,
  wrapperBorder: false,
  wrapperBorderRadius: 0,
  browserColorScheme: "inherit",
  cellHorizontalPadding: 8,
  columnBorder: false,
  dataFontSize: 13,
  fontFamily: "var(--words)",
  fontSize: 13,
  headerBackgroundColor: "var(--raised)",
  headerFontSize: 12,
  headerFontWeight: 500,
  headerHeight: 28,
  headerTextColor: "var(--quiet)",
  iconSize: 12,
  oddRowBackgroundColor: "var(--surface)",
  pinnedRowBorder: true,
  rowBorder: { color: "color-mix(in srgb, var(--line) 55%, transparent)" },
  rowHeight: 24,
  rowHoverColor: "color-mix(in srgb, var(--accent) 45%, transparent)",
  spacing: 4,
  valueChangeValueHighlightBackgroundColor: "var(--tint)",
});

/** The nonce under which this response's policy lets style sheets in. */
export const styleNonce = document.querySelector<HTMLMetaElement>('meta[name="style-nonce"]')?.content ?? "";
