/** ` Did you mean "x"?` for the candidates that differ from `word` by a slip or two; empty when none is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const near = nearMatches(word, candidates);
  if (near.length === 0) return '';
  return ` Did you mean ${near.map((name) => `"${name}"`).join(' or ')}?`;
}

/** At most three, nearest first. Case does not count, and a part of the name is near enough. */
function nearMatches(word: string, candidates: Iterable<string>): string[] {
  const wanted = word.toLowerCase().slice(0, 100);
  if (wanted.length < 2) return [];
  const allowed = Math.max(1, Math.floor(wanted.length / 4));
  return [...new Set(candidates)]
    .map((name) => ({ name, distance: distanceOf(wanted, name.toLowerCase()) }))
    .filter(({ distance }) => distance <= allowed)
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name);
}

function distanceOf(a: string, b: string): number {
  if (a.length >= 4 && b.includes(a)) return 1;
  return editDistance(a, b);
}

/** Levenshtein's distance; two swapped neighbours count as one slip. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? rows[i - 2]![j - 2]! + 1 : Infinity;
      row.push(Math.min(substitution, swapped, rows[i - 1]![j]! + 1, row[j - 1]! + 1));
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
