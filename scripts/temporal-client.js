/*
 * Temporal's client as the command loads it: dist/temporal.cjs with V8's compiled code of it beside, since most of a
 * verb's start went into compiling it (360 ms became 315, where an empty node takes 65).
 */
import { build } from 'esbuild';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import vm from 'node:vm';

/** All that the command imports of Temporal; in one bundle, so that they share one copy of everything. */
const packages = ['client', 'common', 'envconfig', 'workflow'].map((name) => `@temporalio/${name}`);

/** Lets a build of the command import these packages from dist/temporal.cjs. */
export const temporalApart = {
  name: 'temporal-apart',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^@temporalio\/(client|common|envconfig|workflow)$/ }, ({ path }) => ({
      path,
      namespace: 'temporal',
    }));
    onResolve({ filter: /^temporal:bundle$/ }, () => ({ path: 'bundle', namespace: 'temporal' }));
    onLoad({ filter: /^bundle$/, namespace: 'temporal' }, () => ({ contents: loader }));
    onLoad({ filter: /^@/, namespace: 'temporal' }, ({ path }) => ({
      contents: `import { temporal } from 'temporal:bundle';
        export const { ${Object.keys(createRequire(import.meta.url)(path)).join(', ')} } = temporal[${JSON.stringify(path)}];`,
    }));
  },
};

/** Compiled code of another version of Node.js is refused by V8, and the source compiled instead. */
const loader = `
  import { existsSync, readFileSync } from 'node:fs';
  import { createRequire } from 'node:module';
  import { fileURLToPath } from 'node:url';
  import { Script } from 'node:vm';
  const filename = fileURLToPath(new URL('temporal.cjs', import.meta.url));
  const compiled = filename + '.compiled';
  const cachedData = existsSync(compiled) ? readFileSync(compiled) : undefined;
  const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData });
  export const temporal = script.runInThisContext()(createRequire(filename));`;

/** Writes dist/temporal.cjs, a function of \`require\`, and what V8 has compiled of it once it was loaded. */
export async function buildTemporalClient(shared, outdir) {
  const filename = `${outdir}temporal.cjs`;
  const { outputFiles } = await build({
    ...shared,
    stdin: {
      contents: `module.exports = { ${packages.map((name) => `'${name}': require('${name}')`).join(', ')} };`,
      resolveDir: shared.absWorkingDir,
    },
    outfile: filename,
    outdir: undefined,
    write: false,
    format: 'cjs',
    sourcemap: false,
    minifyWhitespace: true,
    charset: 'ascii',
    banner: { js: '(require) => { const module = { exports: {} };' },
    footer: { js: 'return module.exports; }' },
  });
  const source = outputFiles[0].text;
  const script = new vm.Script(source, { filename });
  script.runInThisContext()(createRequire(filename));
  await writeFile(filename, source);
  await writeFile(`${filename}.compiled`, script.createCachedData());
}
