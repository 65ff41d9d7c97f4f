// Plays one camera: over WebRTC, else HLS, else MJPEG; starts again when what plays ends.
"use strict";

const place = location.pathname.replace(/\/+$/, "");
const camera = place.split("/").pop();
const byId = (id) => document.getElementById(id);
const video = byId("video");
const picture = byId("picture");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// How long each way may take to its first picture. An idle camera needs up to 10 s to start.
const PATIENCE = { webrtc: 12000, hls: 20000, mjpeg: 15000 };
const NAMES = { webrtc: "WebRTC", hls: "HLS", mjpeg: "MJPEG" };
// A picture that stands still for this long has ended.
const STALLED = 10000;
// A session of ours ends after 30 s without a request.
const BEAT = 10000;

// The token that was typed in; nowhere but here.
let token = null;
// The query of the session that this page has with the box.
let session = null;

function say(text) {
  byId("status").textContent = text;
}

function tell(way, reasons) {
  document.body.dataset.way = way;
  document.body.dataset.reasons = reasons.join("; ");
}

class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// Why the box said no, in its own words.
async function refusal(response) {
  let text = `status ${response.status}`;
  try {
    const said = await response.json();
    text = said.error || text;
  } catch { /* no JSON: the status has to do */ }
  return new Refused(response.status, text);
}

// The addresses of this camera's video, by what proves best that we may watch.
async function addresses() {
  const proofs = [];
  if (session) proofs.push([session, {}]);
  if (token) proofs.push(["", { Authorization: `Bearer ${token}` }]);
  if (location.search.includes("sig=")) proofs.push([location.search.slice(1), {}]);
  let last = new Refused(401, "a token is needed");
  for (const [query, headers] of proofs) {
    const response = await fetch(`${place}/urls${query && "?" + query}`, { headers });
    if (response.ok) {
      const urls = await response.json();
      session = urls.session;
      return urls;
    }
    last = await refusal(response);
    if (![401, 403].includes(last.status)) break;
  }
  throw last;
}

// Resolves when the video element shows its first picture.
function shown(limit) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`no picture within ${limit / 1000} s`)), limit);
    const first = () => { clearTimeout(timer); done(); };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(first);
    else video.addEventListener("timeupdate", first, { once: true });
    video.play().catch(() => { /* the controls are there */ });
  });
}

// Each way answers, once a picture is shown, with what ends it and a promise of its end.
const WAYS = {
  async webrtc(urls) {
    if (!window.RTCPeerConnection) throw new Error("this browser does not have it");
    const peer = new RTCPeerConnection();
    let call = null;
    const stop = () => {
      peer.close();
      video.srcObject = null;
      if (call) fetch(call, { method: "DELETE", keepalive: true }).catch(() => {});
    };
    try {
      const lost = new Promise((_, fail) => {
        peer.addEventListener("connectionstatechange", () => {
          if (["failed", "closed"].includes(peer.connectionState)) fail(new Error("the connection was lost"));
        });
      });
      lost.catch(() => {});
      const stream = new MediaStream();
      peer.addEventListener("track", (event) => stream.addTrack(event.track));
      for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
      await peer.setLocalDescription();
      // Addresses of this machine alone: there is nobody else to ask.
      for (let waited = 0; peer.iceGatheringState !== "complete" && waited < 1000; waited += 20) await sleep(20);
      const response = await fetch(urls.webrtc, {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: peer.localDescription.sdp,
      });
      if (!response.ok) throw await refusal(response);
      call = response.headers.get("Location");
      await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
      video.srcObject = stream;
      await Promise.race([shown(PATIENCE.webrtc), lost]);
      return { stop, end: Promise.race([lost, stalled()]) };
    } catch (error) {
      stop();
      throw error;
    }
  },

  async hls(urls) {
    await load("/live/hls.min.js").catch(() => {});
    if (window.Hls && Hls.isSupported()) {
      const player = new Hls({ enableWorker: false, lowLatencyMode: true, backBufferLength: 10 });
      const stop = () => player.destroy();
      const lost = new Promise((_, fail) => {
        player.on(Hls.Events.ERROR, (_event, data) => {
          if (!data.fatal) return;
          const code = data.response && data.response.code ? ` (status ${data.response.code})` : "";
          fail(new Error(`${data.details}${code}`));
        });
      });
      lost.catch(() => {});
      try {
        player.loadSource(urls.hls);
        player.attachMedia(video);
        await Promise.race([shown(PATIENCE.hls), lost]);
        return { stop, end: Promise.race([lost, stalled()]) };
      } catch (error) {
        stop();
        throw error;
      }
    }
    if (!video.canPlayType("application/vnd.apple.mpegurl")) throw new Error("this browser cannot play it");
    const stop = () => { video.removeAttribute("src"); video.load(); };
    const lost = new Promise((_, fail) => {
      video.addEventListener("error", () => fail(new Error("the browser gave up")), { once: true });
    });
    lost.catch(() => {});
    try {
      video.src = urls.hls;
      await Promise.race([shown(PATIENCE.hls), lost]);
      return { stop, end: Promise.race([lost, stalled()]) };
    } catch (error) {
      stop();
      throw error;
    }
  },

  async mjpeg(urls) {
    const stop = () => { picture.hidden = true; video.hidden = false; picture.removeAttribute("src"); };
    const lost = new Promise((_, fail) => {
      picture.addEventListener("error", () => fail(new Error("the pictures ended")), { once: true });
    });
    lost.catch(() => {});
    try {
      picture.src = urls.mjpeg;
      video.hidden = true;
      picture.hidden = false;
      const first = (async () => {
        for (let waited = 0; waited < PATIENCE.mjpeg; waited += 50) {
          if (picture.naturalWidth > 0) return;
          await sleep(50);
        }
        throw new Error(`no picture within ${PATIENCE.mjpeg / 1000} s`);
      })();
      await Promise.race([first, lost]);
      return { stop, end: lost };
    } catch (error) {
      stop();
      throw error;
    }
  },
};

function load(source) {
  return new Promise((done, fail) => {
    if (window.Hls) return done();
    const script = document.createElement("script");
    script.src = source;
    script.onload = done;
    script.onerror = fail;
    document.head.append(script);
  });
}

// Fails when the picture stands still although somebody looks.
async function stalled() {
  let at = -1;
  for (let since = Date.now(); ; ) {
    await sleep(1000);
    if (video.currentTime !== at || document.hidden || video.paused) {
      at = video.currentTime;
      since = Date.now();
    } else if (Date.now() - since > STALLED) {
      throw new Error("the picture stood still");
    }
  }
}

// Plays until it ends; answers why.
async function play(urls) {
  const reasons = [];
  for (const way of Object.keys(WAYS)) {
    const because = reasons.length ? ` (${reasons.join("; ")})` : "";
    say(`${camera}: trying ${NAMES[way]}${because} …`);
    try {
      const playing = await WAYS[way](urls);
      tell(way, reasons);
      say(`${urls.name} live over ${NAMES[way]}${because}`);
      const leave = () => playing.stop();
      addEventListener("pagehide", leave);
      const why = await playing.end.then(() => new Error("it ended"), (error) => error);
      removeEventListener("pagehide", leave);
      playing.stop();
      tell("", [why.message]);
      return why;
    } catch (error) {
      reasons.push(`${NAMES[way]}: ${error.message}`);
    }
  }
  tell("", reasons);
  return new Error(reasons.join("; "));
}

// Asks for a token; resolves when one was typed in.
function login(why) {
  say(why);
  const form = byId("login");
  form.hidden = false;
  video.hidden = true;
  byId("token").focus();
  return new Promise((done) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = byId("token").value.trim();
      byId("token").value = "";
      form.hidden = true;
      video.hidden = false;
      done();
    }, { once: true });
  });
}

async function beat() {
  for (;;) {
    await sleep(BEAT);
    if (session) await fetch(`${place}/urls?${session}`).catch(() => {});
  }
}

async function run() {
  document.title = `${camera} live`;
  beat();
  for (let pause = 1000; ; pause = Math.min(pause * 2, 10000)) {
    let why;
    try {
      const urls = await addresses();
      const begun = Date.now();
      why = await play(urls);
      if (Date.now() - begun > 60000) pause = 500;
    } catch (error) {
      if (error instanceof Refused && [401, 403].includes(error.status)) {
        session = token = null;
        await login(error.message);
        pause = 500;
        continue;
      }
      why = error;
    }
    say(`${camera}: ${why.message}. Trying again in ${Math.round(pause / 1000)} s …`);
    await sleep(pause);
  }
}

run();
