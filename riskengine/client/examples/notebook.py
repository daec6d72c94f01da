# ruff: noqa: D100 - the cells of a notebook; Jupyter (jupytext), VS Code, PyCharm and Spyder open it as one
# %% [markdown]
# Positions and P&L of a running engine as pandas tables. `pip install pandas` beside riskengine; `polars.DataFrame(rows)` works
# alike. The engine is at RISKENGINE_URL, by default http://127.0.0.1:8321 (`make demo`), the token is RISKENGINE_TOKEN.

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

# %% Where the money is lost and made: all positions, the worst and the best first. What has no value is not 0 but missing
rows = engine.positions(limit=1_000_000).rows
positions = pandas.DataFrame(rows, columns=["node", "instrument", "quantity", "mark", "total_pnl"])
ranked = positions.dropna(subset="total_pnl").sort_values("total_pnl")
print(ranked.head(5), ranked.tail(5), f"{positions['total_pnl'].isna().sum()} positions have no price", sep="\n\n")
print(positions.pivot_table(index="node", columns="instrument", values="total_pnl", aggfunc="sum"))

# %% The blotter, with times that people read
trades = pandas.DataFrame(engine.trades(limit=1_000).rows)
if not trades.empty:
    trades["time"] = pandas.to_datetime(trades["ts"], unit="us", utc=True)
    print(trades[["time", "trade_id", "desk", "dealer", "side", "quantity", "instrument", "price"]].head(20))

# %% Live: the P&L of every node at the next few snapshots, a row each
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
