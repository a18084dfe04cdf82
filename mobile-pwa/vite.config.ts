/** How the app is built: one page, one hand-written worker, sizes inside the budget of docs. */
import { defineConfig } from 'vite';
import { serviceWorkerAssets } from './build/service-worker-assets.js';
import manifest from './package.json' with { type: 'json' };

/** Modules that only declare: what nobody uses of them may be dropped, above all the schemas and their library. */
const declarationsOnly = /[\\/](contracts[\\/]src|typebox)[\\/]/;

export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  resolve: { conditions: ['villagrid', 'module', 'browser', 'development|production'] },
  define: { __APP_VERSION__: JSON.stringify(manifest.version) },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      input: { index: 'index.html', sw: 'src/sw/sw.ts' },
      treeshake: { moduleSideEffects: (id: string) => !declarationsOnly.test(id) },
      output: {
        // One piece for what every screen needs: it compresses better than ten small ones.
        codeSplitting: {
          groups: [
            // What fills the texts of alerts; each language's own texts come with that language.
            {
              name: 'language-words',
              test: /src[\\/]rules[\\/](texts[\\/](worded|texts|fill)|fold)|languages[\\/]worded/,
            },
            {
              name: 'core',
              test: /[\\/](preact|signals|signals-core)[\\/]|contracts[\\/]src[\\/](?!auth|api|history|alerts[\\/]load|rules[\\/](texts|fold))|mobile-pwa[\\/]src[\\/](i18n[\\/](?!languages)|ui|live|local|origin|platform|sw[\\/]register|app\.ts|chart[\\/](day|lazy-plot|sparkline)|features[\\/](dashboard|alerts[\\/]alert-(row|value)))(?!.*(connection-sheet|[\\/](deliver|keeper|chunks|older-alerts|probe|server-events|banner)))/,
            },
          ],
        },
        entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
        chunkFileNames: ({ facadeModuleId }) =>
          `assets/${facadeModuleId?.includes('/i18n/languages/') ? 'language-' : ''}[name]-[hash].js`,
      },
    },
  },
  plugins: [serviceWorkerAssets()],
});
