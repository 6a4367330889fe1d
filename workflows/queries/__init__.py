"""What pages and APIs read: frozen, complete, limited to what the actor may see."""
