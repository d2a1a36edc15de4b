// Stand-in for Telegram's script of this name: the part of it that Mini Apps here use, with its names, events and CSS variables.
// It speaks to the chat page as the real one speaks to Telegram on the web: JSON messages between a frame and its parent.

(() => {
  const launch = new URLSearchParams(location.hash.slice(1));
  const root = document.documentElement;
  const listeners = new Map();
  const none = () => ({ top: 0, bottom: 0, left: 0, right: 0 });
  const state = { theme: JSON.parse(launch.get("tgWebAppThemeParams") ?? "{}"), height: null, stable: null, expanded: true, full: false, swipes: true, safe: none(), content: none() };

  function unpacked(data) {
    const fields = Object.fromEntries(new URLSearchParams(data));
    for (const name of ["user", "receiver", "chat"]) if (fields[name]) fields[name] = JSON.parse(fields[name]);
    return fields;
  }

  const post = (eventType, eventData = {}) => { if (parent !== window) parent.postMessage(JSON.stringify({ eventType, eventData }), "*"); };
  const tell = (name, data) => (listeners.get(name) ?? []).forEach((listener) => listener.call(app, data));
  const variable = (name, value) => root.style.setProperty(`--tg-${name}`, value);

  function dark(colour) {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    return Math.sqrt(0.299 * r * r + 0.587 * g * g + 0.114 * b * b) < 120;
  }

  function showTheme() {
    for (const [name, colour] of Object.entries(state.theme)) variable(`theme-${name.replaceAll("_", "-")}`, colour);
    variable("color-scheme", app.colorScheme);
  }

  function showViewport() {
    variable("viewport-height", state.height === null ? "100vh" : `${state.height}px`);
    variable("viewport-stable-height", state.stable === null ? "100vh" : `${state.stable}px`);
  }

  function showInsets() {
    for (const [prefix, inset] of [["safe-area-inset", state.safe], ["content-safe-area-inset", state.content]])
      for (const [side, pixels] of Object.entries(inset)) variable(`${prefix}-${side}`, `${pixels}px`);
  }

  const app = {
    initData: launch.get("tgWebAppData") ?? "",
    initDataUnsafe: unpacked(launch.get("tgWebAppData") ?? ""),
    version: launch.get("tgWebAppVersion") ?? "6.0",
    platform: launch.get("tgWebAppPlatform") ?? "unknown",
    get themeParams() { return state.theme; },
    get colorScheme() { return dark(state.theme.bg_color ?? "#ffffff") ? "dark" : "light"; },
    get viewportHeight() { return state.height ?? innerHeight; },
    get viewportStableHeight() { return state.stable ?? innerHeight; },
    get isExpanded() { return state.expanded; },
    get isFullscreen() { return state.full; },
    get isVerticalSwipesEnabled() { return state.swipes; },
    get safeAreaInset() { return state.safe; },
    get contentSafeAreaInset() { return state.content; },
    isVersionAtLeast(wanted) {
      const [ours, theirs] = [app.version, wanted].map((version) => version.split(".").map(Number));
      return ours[0] !== theirs[0] ? ours[0] > theirs[0] : (ours[1] ?? 0) >= (theirs[1] ?? 0);
    },
    onEvent(name, listener) { listeners.set(name, [...(listeners.get(name) ?? []), listener]); },
    offEvent(name, listener) { listeners.set(name, (listeners.get(name) ?? []).filter((each) => each !== listener)); },
    ready: () => post("web_app_ready"),
    expand: () => post("web_app_expand"),
    close: () => post("web_app_close"),
    requestFullscreen: () => post("web_app_request_fullscreen"),
    exitFullscreen: () => post("web_app_exit_fullscreen"),
    enableVerticalSwipes() { state.swipes = true; post("web_app_setup_swipe_behavior", { allow_vertical_swipe: true }); },
    disableVerticalSwipes() { state.swipes = false; post("web_app_setup_swipe_behavior", { allow_vertical_swipe: false }); },
  };

  const heard = {
    theme_changed({ theme_params: theme }) { state.theme = theme; showTheme(); tell("themeChanged"); },
    viewport_changed({ height, is_expanded: expanded, is_state_stable: stable }) {
      [state.height, state.expanded] = [height, expanded];
      if (stable) state.stable = height;
      showViewport();
      tell("viewportChanged", { isStateStable: stable });
    },
    safe_area_changed(inset) { state.safe = inset; showInsets(); tell("safeAreaChanged"); },
    content_safe_area_changed(inset) { state.content = inset; showInsets(); tell("contentSafeAreaChanged"); },
    fullscreen_changed({ is_fullscreen: full }) { state.full = full; tell("fullscreenChanged"); },
    fullscreen_failed(error) { tell("fullscreenFailed", error); },
  };

  addEventListener("message", (event) => {
    if (event.source !== parent || parent === window || typeof event.data !== "string") return;
    let message;
    try { message = JSON.parse(event.data); } catch { return; }
    heard[message?.eventType]?.(message.eventData ?? {});
  });

  window.Telegram = { WebApp: app, WebView: { postEvent: post, initParams: Object.fromEntries(launch) } };
  showTheme();
  showViewport();
  showInsets();
  for (const what of ["theme", "viewport", "safe_area", "content_safe_area"]) post(`web_app_request_${what}`);
})();
