# ruff: noqa: D100 - a notebook in cells, for Jupyter (jupytext), VS Code, PyCharm and Spyder
# %% [markdown]
# Positions and P&L of a running engine as pandas tables. Install pandas beside riskengine (`pip install pandas`);
# `polars.DataFrame(rows)` works too. RISKENGINE_URL is the engine, by default http://127.0.0.1:8321 (`make demo`);
# RISKENGINE_TOKEN is the token.

# %%
import os

import pandas

from riskengine.client import Client

engine = Client(os.environ.get("RISKENGINE_URL", "http://127.0.0.1:8321"), token=os.environ.get("RISKENGINE_TOKEN"))

# %% The tree, as of one snapshot
tree = engine.nodes()
print(f"epoch {tree.epoch}, seq {tree.seq}, {tree.header['reporting_currency']}")
nodes = pandas.DataFrame(tree.rows).set_index("node")
print(nodes[["level", "total_pnl", "realised_pnl", "unrealised_pnl", "net_exposure", "unpriced_count"]])

# %% The worst and the best positions. A position without a value is missing, not 0
rows = engine.positions(limit=1_000_000).rows
positions = pandas.DataFrame(rows, columns=["node", "instrument", "quantity", "mark", "total_pnl"])
ranked = positions.dropna(subset="total_pnl").sort_values("total_pnl")
print(ranked.head(5), ranked.tail(5), f"{positions['total_pnl'].isna().sum()} positions have no price", sep="\n\n")
print(positions.pivot_table(index="node", columns="instrument", values="total_pnl", aggfunc="sum"))

# %% The blotter, with readable times
trades = pandas.DataFrame(engine.trades(limit=1_000).rows)
if not trades.empty:
    trades["time"] = pandas.to_datetime(trades["ts"], unit="us", utc=True)
    print(trades[["time", "trade_id", "desk", "dealer", "side", "quantity", "instrument", "price"]].head(20))

# %% Live: the P&L of every node at the next snapshots, one row for each
points = []
with engine.subscribe("nodes") as changes:
    for state in changes:
        if state.is_live:
            points.append({"seq": state.seq} | {name: row["total_pnl"] for name, row in state.rows.items()})
        if len(points) == int(os.environ.get("POINTS", "20")):
            break
print(pandas.DataFrame(points).set_index("seq"))

# %%
engine.close()
