"""What every Reelgraph process needs: settings, the document, media, the frame store, the ledger."""
