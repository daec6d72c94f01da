/* The limit of a beat: one pass over rows that are laid out, compiled on the spot by bench.beside_arrays.

   Rows are in the order of their nodes: those of node n stand from starts[n] up to starts[n + 1]. */

#include <math.h>
#include <stdint.h>

/* All prices new. Leaves are the nodes from first_leaf on; parents have smaller numbers than their children. */
void beat(int64_t nodes, int64_t first_leaf, const int64_t *starts, const int32_t *instruments, const double *quantities,
          const int64_t *parents, const double *cash, const double *prices, double *totals, double *gross)
{
    for (int64_t node = 0; node < nodes; node++) {
        double total = 0.0, size = 0.0;
        for (int64_t row = starts[node]; row < starts[node + 1]; row++) {
            double value = quantities[row] * prices[instruments[row]];
            total += value;
            size += fabs(value);
        }
        totals[node] = node < first_leaf ? 0.0 : total + cash[node];
        gross[node] = size;
    }
    for (int64_t node = nodes - 1; node > 0; node--)
        totals[parents[node]] += totals[node];
}

/* Few prices new: rows by instrument, inner nodes' netted rows among them. Totals and gross hold the state before. */
void move(int64_t count, const int64_t *numbers, const int64_t *starts, const int32_t *nodes, const double *quantities,
          const double *before, const double *after, double *totals, double *gross)
{
    for (int64_t one = 0; one < count; one++) {
        int64_t instrument = numbers[one];
        double change = after[instrument] - before[instrument];
        for (int64_t row = starts[instrument]; row < starts[instrument + 1]; row++) {
            totals[nodes[row]] += quantities[row] * change;
            gross[nodes[row]] += fabs(quantities[row]) * change;
        }
    }
}
