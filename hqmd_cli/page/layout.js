// The elements of the page. No texts of a photo are here: viewer.js sets those as text, never as HTML.

export const LAYOUT = `
<header class="top">
  <h1 data-part="title"></h1>
  <p class="quiet" data-part="summary"></p>
</header>
<div class="bench">
  <div class="pane">
    <div class="tabs">
      <div role="tablist" aria-label="Views">
        <button type="button" role="tab" data-part="tab-picture" aria-selected="true">Picture</button>
        <button type="button" role="tab" data-part="tab-room" aria-selected="false" tabindex="-1">3D</button>
      </div>
      <span class="quiet" data-part="no-room" hidden></span>
    </div>
    <div role="tabpanel" aria-label="Picture" data-part="picture">
      <div class="stage" data-part="stage" tabindex="0" role="application"
        aria-label="The picture. Arrow keys move a cursor, with Shift by one pixel. Enter sets a point, Escape clears.">
        <img data-part="photo" draggable="false" alt="">
        <canvas class="depth" data-part="depth" role="img" aria-label="Depth in colours"></canvas>
        <svg class="marks" data-part="marks" aria-hidden="true"></svg>
        <div class="grip" data-part="grip" aria-hidden="true"><i></i></div>
        <output class="tip" data-part="tip" hidden></output>
      </div>
      <label class="slider"><span>Photo</span><input type="range" data-part="split" min="0" max="100" step="any" value="50"
        aria-label="Where photo and depth meet, percent of the width"><span>Depth</span></label>
    </div>
    <div role="tabpanel" aria-label="3D" data-part="room" hidden>
      <div class="stage">
        <canvas class="space" data-part="space" tabindex="0" role="application"
          aria-label="The room in 3D. Arrow keys turn it, plus and minus zoom, 0 goes back to the photo's view."></canvas>
        <svg class="marks" data-part="room-marks" aria-hidden="true"></svg>
      </div>
      <div class="controls">
        <fieldset><legend class="unseen">Surface</legend>
          <label><input type="radio" name="surface" value="mesh" checked><span>Mesh</span></label>
          <label><input type="radio" name="surface" value="points"><span>Points</span></label></fieldset>
        <fieldset><legend class="unseen">Colours</legend>
          <label><input type="radio" name="skin" value="photo" checked><span>Photo</span></label>
          <label><input type="radio" name="skin" value="depth"><span>Depth</span></label></fieldset>
        <button type="button" data-part="home">Photo’s view</button>
      </div>
      <div class="cut">
        <span>Show <output data-part="cut"></output></span>
        <input type="range" data-part="cut-near" min="0" max="100" step="any" value="0" aria-label="Hide what is nearer">
        <input type="range" data-part="cut-far" min="0" max="100" step="any" value="100" aria-label="Hide what is farther">
      </div>
      <p class="quiet small">Drag to turn, scroll or pinch to zoom, drag with Shift or two fingers to move. Click two points to measure.</p>
    </div>
  </div>
  <aside>
    <section class="card measure">
      <h2>Distance</h2>
      <div data-part="answer" hidden>
        <p class="length" data-part="length"></p>
        <p class="quiet" data-part="detail"></p>
        <p class="quiet" data-part="ends"></p>
      </div>
      <p data-part="hint"></p>
      <p class="caveat" data-part="caveat" hidden><b>The camera is assumed,</b> so every length may be off by one factor: <span data-part="assumed"></span>.</p>
      <button type="button" data-part="clear" hidden>Clear</button>
    </section>
    <section class="card">
      <h2>Colours</h2>
      <div class="histogram"><canvas data-part="histogram" role="img" aria-label="How much of the picture is how far away"></canvas><i data-part="needle" hidden></i></div>
      <div class="ends quiet small"><span data-part="least"></span><span data-part="most"></span></div>
      <div class="fields">
        <label>near <input type="number" step="any" data-part="near"></label>
        <label>far <input type="number" step="any" data-part="far"></label>
        <label>colormap <select data-part="colormap"></select></label>
        <button type="button" data-part="reset">Reset</button>
      </div>
    </section>
    <section class="card">
      <h2>Take it with you</h2>
      <div class="files">
        <button type="button" data-part="get-mm"><b>.mm.png</b><span>16-bit millimetres</span></button>
        <button type="button" data-part="get-npy"><b>.npy</b><span data-part="npy-unit">float32 metres</span></button>
        <button type="button" data-part="get-ply"><b>.ply</b><span>coloured points</span></button>
        <button type="button" data-part="get-glb"><b>.glb</b><span>textured mesh</span></button>
      </div>
      <p class="quiet small" data-part="about-files" hidden></p>
    </section>
    <details class="card">
      <summary>About this depth</summary>
      <dl data-part="facts"></dl>
      <ul data-part="remarks"></ul>
    </details>
  </aside>
</div>
<p class="unseen" role="status" aria-live="polite" data-part="live"></p>`;
