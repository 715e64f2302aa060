"""What results were made from: code, inputs, versions, machine, and how a run ended."""
