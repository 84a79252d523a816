// One recording that plays, and a cursor that follows it and can be moved.

let playing = null; // one at a time

// Chromium cannot decode an MP3 from its very end on, and gives it up altogether.
const LAST_S = 0.1;

class Player {
  // `figure` takes keys and the pointer; `moved(seconds)` shows the cursor.
  constructor({ source, seconds, figure, button, moved }) {
    Object.assign(this, { seconds, figure, button, moved });
    this.audio = source ? new Audio(source) : null;
    this.at = 0;
    button.disabled = !source;
    button.addEventListener("click", () => this.toggle());
    figure.addEventListener("keydown", (event) => this.press(event));
    if (this.audio) {
      this.audio.addEventListener("ended", () => this.stop());
      this.audio.addEventListener("error", () => this.stop());
      this.audio.addEventListener("seeked", () => this.show(this.audio.currentTime));
    }
    this.show(0);
  }

  show(seconds) {
    this.at = seconds;
    this.moved(seconds);
    this.figure.setAttribute("aria-valuenow", seconds.toFixed(1));
    const said = `${seconds.toFixed(1)} of ${this.seconds.toFixed(1)} seconds`;
    this.figure.setAttribute("aria-valuetext", said);
  }

  seek(seconds) {
    const last = this.audio ? this.seconds - LAST_S : this.seconds;
    const at = Math.max(0, Math.min(seconds, last));
    if (this.audio) this.audio.currentTime = at;
    this.show(at);
  }

  toggle() {
    if (!this.audio) return;
    if (playing === this) this.stop();
    else this.play();
  }

  play() {
    if (playing) playing.stop();
    playing = this;
    if (this.at >= this.seconds - LAST_S) this.seek(0);
    this.audio.play().catch(() => this.stop()); // a browser may refuse
    this.sayState("Pause", true);
    const follow = () => {
      if (playing !== this) return;
      this.show(this.audio.currentTime);
      requestAnimationFrame(follow);
    };
    requestAnimationFrame(follow);
  }

  stop() {
    this.audio.pause();
    if (playing === this) playing = null;
    this.sayState("Play", false);
  }

  sayState(action, isPlaying) {
    this.button.setAttribute("aria-label", action);
    this.button.classList.toggle("playing", isPlaying);
  }

  press(event) {
    const steps = { ArrowLeft: -0.5, ArrowRight: 0.5, ArrowDown: -0.5, ArrowUp: 0.5 };
    if (event.key === " ") this.toggle();
    else if (event.key in steps) this.seek(this.at + steps[event.key]);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.seconds);
    else return;
    event.preventDefault();
  }
}
