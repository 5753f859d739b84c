// index.html loads NiiVue as a plain script, which leaves it in window.niivue. Its types come from the npm package of
// the same version as static/vendor/niivue.js.
interface Window {
  niivue: typeof import("@niivue/niivue");
}
