import { expect, it, test } from 'vitest';
import { matchesGlobs, mistakeInGlob } from '../../domain/glob.ts';

test.each<[pattern: string, matched: string[], others: string[]]>([
  ['main', ['main'], ['Main', 'main2', 'amain', '']],
  ['feature/*', ['feature/a', 'feature/'], ['feature/a/b', 'feature', 'features/a']],
  ['feature/**', ['feature/a', 'feature/a/b', 'feature/'], ['feature', 'a/feature/b']],
  ['*', ['main', '.hidden'], ['a/b']],
  ['**', ['main', 'a/b', 'a\nb/c', ''], []],
  ['*feature', ['feature', 'ver-10-feature'], ['a/feature', 'feature2']],
  ['*.js', ['app.js', '.js'], ['src/app.js', 'appxjs']],
  ['**.js', ['app.js', 'src/app.js'], ['app.jsx']],
  ['*.jsx?', ['page.js', 'page.jsx'], ['page.jsxx', 'page.j']],
  ['v2*', ['v2', 'v2.0', 'v2.9'], ['v1', 'v2/0']],
  ['v[12].[0-9]+.[0-9]+', ['v1.10.1', 'v2.0.0'], ['v3.0.0', 'v1.0', 'v1..0', 'v1.a.0']],
  ['[CB]at', ['Cat', 'Bat'], ['Rat', 'cat', 'CBat']],
  ['[a-c_.-]x', ['bx', '_x', '-x', '.x'], ['dx', ',x']],
  ['docs/**/*.md', ['docs/a.md', 'docs/b/a.md', 'docs/b/c/a.md'], ['docs.md', 'docs/a.txt', 'a/docs/a.md']],
  [
    '**/docs/**',
    ['docs/a', 'docs/a/b', 'x/docs/a', 'x/y/docs/a/b'],
    ['docs', 'xdocs/a', 'x/ydocs/a', 'x/docsa'],
  ],
  ['**/README.md', ['README.md', 'js/README.md', 'a/b/README.md'], ['aREADME.md', 'a/bREADME.md']],
  ['**/*src/**', ['a/src/app.js', 'src/a', 'my-src/code/b'], ['src', 'srcs/a']],
  ['a**/b', ['a/b', 'ax/y/b'], ['ab', 'b']],
  ['releases/**-alpha', ['releases/beta/3-alpha', 'releases/-alpha'], ['releases/alpha']],
  ['ab+c', ['abc', 'abbbc'], ['ac', 'abb']],
  ['ab?c', ['abc', 'ac'], ['abbc']],
  ['[0-9]?x', ['x', '7x'], ['77x']],
  ['a\\*b\\+\\?\\[', ['a*b+?['], ['axb+?[']],
  ['a.b$^(c|d){2}', ['a.b$^(c|d){2}'], ['axb$^(c|d){2}']],
  ['💧+/?x', ['💧💧/x', '💧x'], ['/x']],
])('%s', (pattern, matched, others) => {
  expect(mistakeInGlob(pattern)).toBeUndefined();
  expect([...matched, ...others].filter((text) => matchesGlobs([pattern], text))).toEqual(matched);
});

test.each<[patterns: string[], matched: string[], others: string[]]>([
  [[], [], ['main']],
  [['main', 'release/**'], ['main', 'release/1'], ['dev']],
  [['releases/**', '!releases/**-alpha'], ['releases/10'], ['releases/10-alpha', 'main']],
  [['*.md', '!README.md', 'README*'], ['a.md', 'README.md'], ['a.txt']],
  [['!main', '**'], ['main', 'dev'], []],
  [['!main'], [], ['main', 'dev']],
  [['a!b'], ['a!b'], ['ab']],
])('%j in order', (patterns, matched, others) => {
  expect([...matched, ...others].filter((text) => matchesGlobs(patterns, text))).toEqual(matched);
});

test.each([
  ['', '"" names nothing'],
  ['!', '"!" names nothing'],
  ['+a', '"+" in "+a" has no character before it, which it is about; write \\+ for itself.'],
  ['a/**?', '"?" in "a/**?" has no character before it'],
  ['a++', '"+" in "a++" has no'],
  ['v[0-9', '"[" in "v[0-9" is not closed; write ], or \\[ for itself.'],
  ['v[^1]', '"[^1]" in "v[^1]" is no list of characters; write letters, digits and ranges such as [0-9a-z].'],
  ['v[9-0]', '"[9-0]"'],
  ['v[]', '"[]"'],
])('"%s" is wrong', (pattern, says) => {
  expect(mistakeInGlob(pattern)).toContain(says);
});

it('takes no longer than the lengths of pattern and text allow', () => {
  const text = `${'a'.repeat(5_000)}/`.repeat(4);
  const started = performance.now();
  for (const pattern of [
    `${'*a'.repeat(200)}*b`,
    `${'**a'.repeat(150)}**b`,
    `${'**/'.repeat(150)}b`,
    `${'a?'.repeat(200)}${'a+'.repeat(50)}b`,
  ]) {
    expect(matchesGlobs([pattern], text)).toBe(false);
  }
  expect(performance.now() - started).toBeLessThan(20_000);
});
