/* A passkey is made or shown, and its answer goes back with the form. Nothing else runs on these pages. */
"use strict";
(() => {
  const form = document.querySelector("form[data-options]");
  if (!form) return;
  const say = (text) => { form.querySelector("[role=status]").textContent = text; };
  if (!window.PublicKeyCredential || !navigator.credentials) {
    say("This browser knows no passkeys.");
    return;
  }
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const credentials = (listed) => (listed || []).map((each) => ({ ...each, id: bytes(each.id) }));

  const make = async (options) => {
    const user = { ...options.user, id: bytes(options.user.id) };
    const publicKey = { ...options, user, challenge: bytes(options.challenge), excludeCredentials: credentials(options.excludeCredentials) };
    const made = await navigator.credentials.create({ publicKey });
    return { made, response: { clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject) } };
  };
  const show = async (options) => {
    const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: credentials(options.allowCredentials) };
    const made = await navigator.credentials.get({ publicKey });
    const { authenticatorData, clientDataJSON, signature, userHandle } = made.response;
    return {
      made,
      response: {
        authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature),
        userHandle: userHandle ? text(userHandle) : null,
      },
    };
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say("Waiting for your device …");
    try {
      const options = JSON.parse(form.dataset.options);
      const { made, response } = await (form.dataset.act === "make" ? make : show)(options);
      form.elements.answer.value = JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: {} });
      form.submit();
    } catch (error) {
      say(error.name === "InvalidStateError" ? "This device has a passkey for you already." : "Nothing was shown. Try again.");
    }
  });
  form.querySelector("button").disabled = false; // until here a click would have sent the form without an answer
})();
