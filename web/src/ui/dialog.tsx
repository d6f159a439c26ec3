// A question that must be answered first, and a drawer with the details of a row. Both give the focus back where it was.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icons";

export function Modal(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    if (dialog === null) return;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={element}
      class="modal"
      aria-label={props.title}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) props.onClose();
      }}
    >
      <div class="modal-inner">
        <header>
          <h2>{props.title}</h2>
          <button type="button" class="button quiet" onClick={props.onClose} aria-label="Close">
            <Icon name="close" />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

export function Drawer(props: { title: ComponentChildren; label: string; onClose: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current?.focus();
    return () => {
      // A row of a table that scrolled is another element by now; its table knows where to put the focus.
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, [props.label]);
  return (
    <aside
      ref={element}
      class="drawer"
      tabIndex={-1}
      aria-label={props.label}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          props.onClose();
        }
      }}
    >
      <header class="drawer-head">
        <h2>{props.title}</h2>
        <button type="button" class="button quiet" onClick={props.onClose} aria-label="Close details">
          <Icon name="close" />
        </button>
      </header>
      <div class="drawer-body">{props.children}</div>
    </aside>
  );
}
