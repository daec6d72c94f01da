// The views, in the order of their keys. A new one is a folder beside these and a line here.

import { BlotterView } from "./blotter/view";
import { ExplainView } from "./explain/view";
import type { View } from "./frame/frame";
import { LadderView } from "./ladder/view";
import { LimitsView } from "./limits/view";
import { OperationsView } from "./operations/view";
import { RiskView } from "./risk/view";
import { ScenariosView } from "./scenarios/view";

export const VIEWS: readonly View[] = [
  { id: "ladder", label: "Ladder", Draw: LadderView, hasMoments: true },
  { id: "blotter", label: "Blotter", Draw: BlotterView, hasMoments: true },
  { id: "risk", label: "Risk", Draw: RiskView, hasMoments: true },
  { id: "operations", label: "Operations", Draw: OperationsView },
  { id: "limits", label: "Limits", Draw: LimitsView },
  { id: "scenarios", label: "Scenarios", Draw: ScenariosView },
  { id: "explain", label: "Explain", Draw: ExplainView },
];
